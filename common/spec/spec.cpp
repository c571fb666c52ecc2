#include "common/spec/spec.h"

#include <algorithm>
#include <numeric>

#include "common/base/limits.h"
#include "common/spec/json_reader.h"
#include "common/spec/json_text.h"
#include "common/spec/recipe_path.h"
#include "common/spec/recipe_reader.h"
#include "common/spec/schema.h"
#include "common/spec/spec_branches.h"
#include "common/spec/spec_checks.h"
#include "common/spec/spec_space.h"

namespace modelhop {
namespace {

using nlohmann::json;

constexpr std::size_t kShownPointerBytesMax = 300;

// Reads what the schema has passed, as far as it has. `all`: the data's checks and every branch; a journal's spec has
// passed them before.
std::shared_ptr<const Spec> read_spec(json& document, const Schema::Given& given, const Manifest* data, bool all,
                                      Problems& problems) {
  auto spec = std::make_shared<Spec>();
  read_search_keys(document, data, *spec, problems);
  const auto grid = spec->algorithm.empty() ? std::nullopt : std::optional(spec->algorithm == "grid");
  spec->space = read_space(document, given, grid, problems);
  if (grid != true) spec->points_to_evaluate = read_points(document, given, spec->space, problems);
  if (all) {
    Schema::Given unread = given;
    for (const Parameter& parameter : spec->space) unread.erase(pointer_of_path(parameter.path));
    check_branches(recipe_of(document), spec->space, unread, spec->points_to_evaluate, data, problems);
  }
  if (all && data == nullptr && problems.clean("/dataset/name") &&
      document.contains(json::json_pointer("/dataset/name"))) {
    problems.warn("/dataset/name",
                  "data set " + shown(document.at("dataset").at("name")) +
                      " is not known here, so these were not checked: the shapes of the model, loss and "
                      "classes against the targets, batch_size against the partitions, and whether there "
                      "is a validation set");
  }
  if (problems.errors() > 0) return nullptr;
  spec->expanded = canonical_text(document);
  return spec;
}

// By place in the text; what concerns one place in the order in which it was found.
std::vector<Problem> in_document_order(std::vector<Problem> problems, std::string_view text) {
  if (problems.size() < 2) return problems;
  std::vector<std::string> pointers;
  pointers.reserve(problems.size());
  for (const Problem& problem : problems) pointers.push_back(problem.pointer);
  const std::vector<std::size_t> order = reading_order(text, pointers);
  std::vector<std::size_t> places(problems.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) { return order[a] < order[b]; });
  std::vector<Problem> out;
  out.reserve(problems.size());
  for (std::size_t place : places) out.push_back(std::move(problems[place]));
  return out;
}

// Control characters of a hostile spec must not reach a terminal.
std::string printable(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\\u00";
      out.push_back(kHex[(c >> 4) & 15]);
      out.push_back(kHex[c & 15]);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

ParsedSpec parse_spec(std::string_view text, const Manifest* data) {
  Problems problems;
  JsonDocument document = read_json_document(text, {.bytes_max = kSpecBytesMax});
  for (const JsonFault& fault : document.faults) problems.error(fault.pointer, fault.message);
  if (!document.whole) return {nullptr, problems.list()};
  json& root = document.value;
  const Schema& schema = Schema::spec();
  const Schema::Given given = root.is_object() ? given_by_parameters(root) : Schema::Given{};
  schema.check(root, schema.root(), "", given, problems);
  std::shared_ptr<const Spec> spec;
  if (root.is_object()) spec = read_spec(root, given, data, true, problems);
  return {std::move(spec), in_document_order(problems.list(), text)};
}

Result<std::shared_ptr<const Spec>> restore_spec(std::string_view expanded) {
  Result<json> document = read_json(expanded, kExpandedLimits);
  if (!document.ok()) return corrupt("stored spec: " + document.status().message());
  if (!document->is_object()) return corrupt("stored spec: is no object");
  Problems problems;
  const Schema& schema = Schema::spec();
  const Schema::Given given = given_by_parameters(*document);
  schema.check(*document, schema.root(), "", given, problems);
  std::shared_ptr<const Spec> spec = read_spec(*document, given, nullptr, false, problems);
  for (const Problem& problem : problems.list()) {
    if (!problem.warning) return corrupt("stored spec " + problem.pointer + ": " + problem.message);
  }
  return spec;
}

std::string dataset_of_spec(std::string_view text) {
  const JsonDocument document = read_json_document(text, {.bytes_max = kSpecBytesMax});
  if (!document.whole || !document.value.is_object()) return {};
  const auto dataset = document.value.find("dataset");
  if (dataset == document.value.end() || !dataset->is_object()) return {};
  const auto name = dataset->find("name");
  return name == dataset->end() || !name->is_string() ? std::string() : name->get<std::string>();
}

std::string recipe_json(const Spec& spec, const Params& params) {
  const Result<json> document = read_json(spec.expanded, kExpandedLimits);
  CHECK(document.ok());  // parse_spec and restore_spec wrote it
  return canonical_text(recipe_with(recipe_of(*document), spec.space, params));
}

std::string format_problems(const std::string& file, const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) {
    std::string pointer = printable(problem.pointer);
    if (pointer.size() > kShownPointerBytesMax) pointer = pointer.substr(0, kShownPointerBytesMax) + "...";
    out += file;
    if (!pointer.empty()) out.append(" ").append(pointer);
    out.append(problem.warning ? ": warning: " : ": ").append(printable(problem.message)).append("\n");
  }
  return out;
}

}  // namespace modelhop
