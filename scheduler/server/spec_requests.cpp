#include "scheduler/server/spec_requests.h"

#include <algorithm>

#include "scheduler/api/views.h"
#include "scheduler/server/store_view.h"
#include "search/registry.h"

namespace modelhop {
namespace {

ApiResponse refused_spec(const std::vector<Problem>& problems) {
  const auto errors = std::count_if(problems.begin(), problems.end(), [](const Problem& p) { return !p.warning; });
  return {422, "application/problem+json",
          dump({{"type", "about:blank"},
                {"title", "the spec is invalid"},
                {"status", 422},
                {"detail", std::to_string(errors) + (errors == 1 ? " error" : " errors") + " in the spec"},
                {"errors", problems_json(problems)}})};
}

}  // namespace

CheckedSpec check_spec(BlobStore& store, const std::string& text) {
  CheckedSpec out;
  std::optional<Manifest> manifest;
  std::optional<Problem> missing;
  if (const std::string name = dataset_of_spec(text); !name.empty()) {
    Result<Manifest> found = read_manifest(store, name);
    if (found.ok()) {
      manifest = std::move(*found);
    } else {
      missing = Problem{"/dataset/name", found.status().message(), false};
    }
  }
  out.parsed = parse_spec(text, manifest ? &*manifest : nullptr);
  if (out.parsed.spec != nullptr) {
    if (auto problem = search_problem(*out.parsed.spec)) {
      out.parsed.problems.push_back(std::move(*problem));
      out.parsed.spec = nullptr;
    }
  }
  if (missing) {
    // Without a data set the spec cannot run; the warnings that say so say it again.
    std::erase_if(out.parsed.problems, [](const Problem& problem) { return problem.warning; });
    out.parsed.problems.push_back(std::move(*missing));
    out.parsed.spec = nullptr;
  }
  if (out.parsed.spec == nullptr || !manifest) {
    out.refused = refused_spec(out.parsed.problems);
  } else {
    out.dataset = registered(*manifest);
  }
  return out;
}

ApiResponse validate_spec(BlobStore& store, const std::string& text) {
  const CheckedSpec checked = check_spec(store, text);
  if (checked.refused) return *checked.refused;
  return {200, "application/json", dump({{"valid", true}, {"warnings", problems_json(checked.parsed.problems)}})};
}

ApiResponse preview_spec(BlobStore& store, const std::string& text) {
  const CheckedSpec checked = check_spec(store, text);
  if (checked.refused) return *checked.refused;
  const Spec& spec = *checked.parsed.spec;
  const SearchFactory* factory = find_search(spec.algorithm);
  if (factory == nullptr)
    return problem_of(not_found("/algorithm/name: there is no search algorithm " + spec.algorithm));
  const auto partitions = static_cast<std::uint32_t>(checked.dataset.partition_rows.size());
  const Result<SearchPlan> plan = factory->preview(spec, partitions);
  if (!plan.ok()) return problem_of(plan.status());
  Json answer = plan_json(*plan, partitions);
  answer["warnings"] = problems_json(checked.parsed.problems);
  return {200, "application/json", dump(answer)};
}

Json problems_json(const std::vector<Problem>& problems) {
  Json out = Json::array();
  for (const Problem& problem : problems) {
    out.push_back({{"pointer", problem.pointer}, {"detail", problem.message}, {"warning", problem.warning}});
  }
  return out;
}

ApiResponse problem_of(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      break;
    case Code::kInvalid:
      return problem(422, "invalid", status.message());
    case Code::kNotFound:
      return problem(404, "not found", status.message());
    case Code::kConflict:
      return problem(409, "conflict", status.message());
    case Code::kUnreachable:
      return problem(502, "unreachable", status.message());
    case Code::kTimeout:
      return problem(504, "timeout", status.message());
    case Code::kCorrupt:
    case Code::kEnvironment:
    case Code::kInternal:
      break;
  }
  return problem(500, "failed", status.message());
}

}  // namespace modelhop
