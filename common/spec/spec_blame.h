#pragma once
// Findings: what is wrong with some branches of a space, told once each: by the value, or else the pair of values, that
// every failing branch of its kind has.
#include <map>
#include <string>
#include <vector>

#include "common/spec/params.h"
#include "common/spec/problems.h"

namespace modelhop {

class Findings {
 public:
  // Both must outlive it. Branches from place `points` on are the spec's points_to_evaluate.
  Findings(const Space& space, const std::vector<Params>& branches, std::size_t points);

  // The next branch and what was found in it.
  void add(const std::vector<Problem>& problems);
  bool full() const { return kinds_.size() >= kKindsMax; }  // what is added then is not told
  void report(Problems& problems) const;

 private:
  static constexpr std::size_t kKindsMax = kProblemsMax;
  static constexpr std::size_t kPairsOfMost = 24;       // pairs of so many parameters are looked at
  using Messages = std::map<std::size_t, std::string>;  // by branch

  // Some parameters, and the places of the values they have in one failing branch.
  struct Cause {
    std::vector<std::size_t> parameters;
    std::vector<int> values;
  };
  bool has(std::size_t branch, const Cause& cause) const;
  bool is_guilty(const Cause& cause, const Messages& failing) const;
  Cause cause_of(std::size_t branch, const Messages& failing) const;
  void report_kind(const std::string& pointer, const Messages& failing, Problems& problems) const;
  void report_points(const std::string& pointer, const Messages& failing, const std::vector<Cause>& causes,
                     Problems& problems) const;

  const Space& space_;
  const std::vector<Params>& branches_;
  const std::size_t points_;
  std::size_t read_ = 0;                  // branches so far
  std::vector<std::vector<int>> values_;  // of each branch: which of its values each parameter has; -1: none
  std::vector<std::size_t> varying_;      // parameters with more than one value
  // Errors of one place and one wording, numbers aside.
  std::map<std::pair<std::string, std::string>, Messages> kinds_;
};

}  // namespace modelhop
