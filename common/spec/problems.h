#pragma once
// What a check finds: errors and warnings of one spec, capped, each once.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/spec/spec.h"

namespace modelhop {

inline constexpr std::size_t kProblemsMax = 100;  // of one spec: more help nobody; bounds the work on a hostile one

class Problems {
 public:
  void error(std::string pointer, std::string message) { add({std::move(pointer), std::move(message), false}); }
  void warn(std::string pointer, std::string message) { add({std::move(pointer), std::move(message), true}); }
  std::size_t errors() const { return errors_; }
  // No error lies at, inside or around this place, so what is there has the types that the schema asks for.
  bool clean(const std::string& pointer) const { return clean_around(pointer) && clean_inside(pointer) && !full(); }
  bool clean_around(const std::string& pointer) const {  // or at it
    return none([&](const std::string& other) { return is_inside(pointer, other); });
  }
  bool clean_inside(const std::string& pointer) const {  // or at it
    return none([&](const std::string& other) { return is_inside(other, pointer); });
  }
  bool full() const { return list_.size() >= kProblemsMax; }
  const std::vector<Problem>& list() const { return list_; }

 private:
  static bool is_inside(const std::string& pointer, const std::string& place) {
    return pointer.starts_with(place) && (pointer.size() == place.size() || pointer[place.size()] == '/');
  }
  template <class Test>
  bool none(const Test& test) const {
    return std::none_of(list_.begin(), list_.end(),
                        [&](const Problem& problem) { return !problem.warning && test(problem.pointer); });
  }

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
