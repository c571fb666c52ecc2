#include "worker/train/job_main.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <istream>
#include <iterator>
#include <ostream>

#include "common/spec/json_reader.h"
#include "worker/data/dataset.h"
#include "worker/train/jobs.h"

namespace modelhop {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kJobBytesMax =
    256 << 20;  // a recipe of a few KiB for each of kTrialsMax trials is split by the caller
constexpr std::size_t kJobValuesMax = 32'000'000;
constexpr unsigned kJobThreadsMax = 1024;

// Reads a field of an object, or says which is missing or of another type.
template <class T>
Status read(const Json& from, const char* key, T& out) {
  const auto found = from.find(key);
  if (found == from.end()) return invalid(std::string("the job has no \"") + key + "\"");
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return invalid(std::string("\"") + key + "\" must be a string");
  } else {
    if (!found->is_number_unsigned() || found->template get<std::uint64_t>() > std::numeric_limits<T>::max()) {
      return invalid(std::string("\"") + key + "\" must be a whole number");
    }
  }
  out = found->template get<T>();
  return {};
}

Result<Recipe> read_recipe(const Json& from, const Manifest& manifest) {
  const auto found = from.find("recipe");
  if (found == from.end() || !found->is_object()) return invalid("the job has no \"recipe\" object");
  return parse_recipe(found->dump(), manifest);
}

Result<const Json*> read_array(const Json& from, const char* key) {
  const auto found = from.find(key);
  if (found == from.end() || !found->is_array()) return invalid(std::string("the job has no \"") + key + "\" array");
  return &*found;
}

void put_line(std::ostream& out, const Json& line) {
  out << line.dump(-1, ' ', true, Json::error_handler_t::replace) << std::endl;
}

Status verify_trial(Trainer& trainer, JobData& data, const Json& trial, std::ostream& out) {
  std::string name;
  Retrain request;
  RETURN_IF_ERROR(read(trial, "trial", name));
  RETURN_IF_ERROR(read(trial, "id", request.trial.value));
  RETURN_IF_ERROR(read(trial, "offset", request.offset));
  ASSIGN_OR_RETURN(const Recipe recipe, read_recipe(trial, data.manifest()));
  request.recipe = &recipe;
  if (trial.contains("before")) {
    ASSIGN_OR_RETURN(const Json* sources, read_array(trial, "before"));
    for (const Json& source : *sources) {
      RetrainBefore before;
      RETURN_IF_ERROR(read(source, "id", before.trial.value));
      RETURN_IF_ERROR(read(source, "offset", before.offset));
      RETURN_IF_ERROR(read(source, "until", before.until));
      ASSIGN_OR_RETURN(before.recipe, read_recipe(source, data.manifest()));
      request.before.push_back(std::move(before));
    }
  }
  std::vector<std::pair<std::uint64_t, ContentHash>> checks;
  ASSIGN_OR_RETURN(const Json* listed, read_array(trial, "checks"));
  for (const Json& check : *listed) {
    std::string hash;
    std::pair<std::uint64_t, ContentHash> wanted;
    RETURN_IF_ERROR(read(check, "visits", wanted.first));
    RETURN_IF_ERROR(read(check, "hash", hash));
    if (!parse(hash, wanted.second)) return invalid("\"hash\" must be 32 hexadecimal digits, got '" + hash + "'");
    checks.push_back(wanted);
  }
  std::sort(checks.begin(), checks.end());
  for (const auto& check : checks) {
    if (request.visits.empty() || request.visits.back() != check.first) request.visits.push_back(check.first);
  }
  return retrain(trainer, data, request, false, [&](const RetrainedState& reached) {
    for (const auto& [visits, expected] : checks) {
      if (visits != reached.visits) continue;
      put_line(out, {{"trial", name},
                     {"visits", visits},
                     {"hash", to_string(reached.hash)},
                     {"expected", to_string(expected)},
                     {"ok", reached.hash == expected}});
    }
  });
}

Status verify(Trainer& trainer, JobData& data, const Json& job, std::ostream& out) {
  ASSIGN_OR_RETURN(const Json* trials, read_array(job, "trials"));
  for (const Json& trial : *trials) RETURN_IF_ERROR(verify_trial(trainer, data, trial, out));
  return {};
}

// STORE/<name>, where <name> is one of our own: relative, and inside.
Result<std::string> state_path(const std::string& store, const std::string& name) {
  const std::filesystem::path relative(name);
  const bool climbs = std::any_of(relative.begin(), relative.end(), [](const auto& part) { return part == ".."; });
  if (name.empty() || relative.is_absolute() || climbs)
    return invalid("'" + name + "' is not a state's name in a store");
  ASSIGN_OR_RETURN(const std::string data, data_folder(store));
  return (std::filesystem::path(data).parent_path() / relative).string();
}

Status score_state(Trainer& trainer, JobData& data, const Json& job, std::ostream& out) {
  std::string store, split, state;
  RETURN_IF_ERROR(read(job, "store", store));
  RETURN_IF_ERROR(read(job, "split", split));
  RETURN_IF_ERROR(read(job, "state", state));
  if (split != "test" && split != "validation")
    return invalid("\"split\" must be test or validation, got '" + split + "'");
  ASSIGN_OR_RETURN(const Recipe recipe, read_recipe(job, data.manifest()));
  ASSIGN_OR_RETURN(const std::string path, state_path(store, state));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Partition> rows, split == "test" ? data.test() : data.validation());
  ASSIGN_OR_RETURN(const std::vector<Sum> sums, score(trainer, data, recipe, path, *rows));
  Json line{{"rows", rows->rows()}};
  for (const Sum& sum : sums) {
    const double mean = sum.total / static_cast<double>(sum.weight);
    line[sum.name] = std::isfinite(mean) ? Json(mean) : Json(nullptr);
  }
  put_line(out, line);
  return {};
}

Status run(std::istream& in, std::ostream& out) {
  std::string text;
  for (char chunk[1 << 16]; in.read(chunk, sizeof chunk) || in.gcount() > 0;) {
    text.append(chunk, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kJobBytesMax) return invalid("a job's request is at most 256 MiB; ask for fewer trials at once");
  }
  ASSIGN_OR_RETURN(const Json job, read_json(text, {kJobBytesMax, kJsonDepthMax, kJobValuesMax}));
  if (!job.is_object()) return invalid("a job's request is a JSON object");
  std::string kind, store, dataset;
  unsigned threads = 1;
  RETURN_IF_ERROR(read(job, "job", kind));
  RETURN_IF_ERROR(read(job, "store", store));
  RETURN_IF_ERROR(read(job, "dataset", dataset));
  if (job.contains("threads")) RETURN_IF_ERROR(read(job, "threads", threads));
  if (threads < 1 || threads > kJobThreadsMax) return invalid("\"threads\" must be 1 to 1024");
  if (kind != "verify" && kind != "score") return invalid("no such job: '" + kind + "' (verify, score)");
  ASSIGN_OR_RETURN(JobData data, JobData::open(store, dataset));
  const std::unique_ptr<Trainer> trainer = make_torch_trainer(threads);
  return kind == "verify" ? verify(*trainer, data, job, out) : score_state(*trainer, data, job, out);
}

}  // namespace

int run_job(std::istream& in, std::ostream& out) {
  const Status status = run(in, out);
  if (status.ok()) return 0;
  put_line(out, {{"error", status.message()}});
  return 1;
}

}  // namespace modelhop
