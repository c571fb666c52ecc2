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
