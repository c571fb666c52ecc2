#include "cli/spec_check.h"

#include "search/registry.h"
#include "worker/data/dataset.h"

namespace modelhop::cli {

CheckedSpec check_spec_here(const std::string& store, const std::string& text) {
  CheckedSpec out;
  out.dataset = dataset_of_spec(text);
  if (is_dataset_name(out.dataset)) {
    if (auto manifest = read_dataset(store, out.dataset); manifest.ok()) out.data = std::move(*manifest);
  }
  out.parsed = parse_spec(text, out.data ? &*out.data : nullptr);
  if (out.parsed.spec == nullptr) return out;
  if (auto problem = search_problem(*out.parsed.spec)) {
    out.parsed.problems.push_back(std::move(*problem));
    out.parsed.spec = nullptr;
  }
  return out;
}

Status missing_dataset(const std::string& store, const std::string& name) {
  if (is_dataset_name(name)) {
    // It may be there and unreadable, which is another matter.
    if (const auto read = read_dataset(store, name); !read.ok() && read.status().code() != Code::kNotFound) {
      return read.status();
    }
  }
  std::string there;
  if (const auto entries = list_datasets(store); entries.ok()) {
    for (const DatasetEntry& entry : *entries) there += (there.empty() ? "" : ", ") + entry.name;
  }
  return not_found("there is no data set \"" + name + "\" in store " + store + "; " +
                   (there.empty() ? "it holds none: import one with `modelhop data import`" : "it holds " + there));
}

}  // namespace modelhop::cli
