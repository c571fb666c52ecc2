#pragma once
// What a check finds: errors and warnings of one spec, capped, each once.
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/spec/spec.h"

namespace modelhop {

class Problems {
 public:
  void error(std::string pointer, std::string message) { add({std::move(pointer), std::move(message), false}); }
  void warn(std::string pointer, std::string message) { add({std::move(pointer), std::move(message), true}); }
  std::size_t errors() const { return errors_; }
  // No error lies at, inside or around this place, so what is there has the types that the schema asks for.
  bool clean(const std::string& pointer) const {
    for (const Problem& problem : list_) {
      const std::string& shorter = problem.pointer.size() < pointer.size() ? problem.pointer : pointer;
      const std::string& longer = problem.pointer.size() < pointer.size() ? pointer : problem.pointer;
      const bool related = longer.compare(0, shorter.size(), shorter) == 0 &&
                           (longer.size() == shorter.size() || longer[shorter.size()] == '/');
      if (!problem.warning && related) return false;
    }
    return !full();
  }
  bool full() const { return list_.size() >= kMost; }
  const std::vector<Problem>& list() const { return list_; }

 private:
  static constexpr std::size_t kMost = 100;  // more help nobody; bounds the work on a hostile spec

  void add(Problem problem) {
    if (!problem.warning) ++errors_;
    if (full() || !seen_.insert(problem.pointer + '\n' + problem.message).second) return;
    list_.push_back(std::move(problem));
  }

  std::vector<Problem> list_;
  std::set<std::string> seen_;
  std::size_t errors_ = 0;
};

}  // namespace modelhop
