#include "common/spec/suggest.h"

#include <algorithm>

namespace modelhop {
namespace {

constexpr std::size_t kNameLengthMax = 64;  // longer ones are no misspelling; bounds the quadratic distance
constexpr std::size_t kBeginningMin = 3;    // shorter ones begin too many names
constexpr std::size_t kListedMax = 24;

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

// "Conv2d", "batch-size" and "conv2d", "batch_size" are near.
std::string folded(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c != '_' && c != '-' && c != ' ') out.push_back(c);
  }
  return out;
}

}  // namespace

std::string nearest_name(std::string_view given, const std::vector<std::string>& legal) {
  if (given.size() > kNameLengthMax) return {};
  const std::string wanted = folded(given);
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, wanted.size() / 3) + 1;
  for (const std::string& name : legal) {
    if (name.size() > kNameLengthMax) continue;
    const std::string legal_name = folded(name);
    const bool begins = wanted.size() >= kBeginningMin && legal_name.starts_with(wanted);
    const std::size_t distance =
        begins ? std::min<std::size_t>(1, legal_name.size() - wanted.size()) : edit_distance(wanted, legal_name);
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string did_you_mean(std::string_view given, const std::vector<std::string>& legal) {
  const std::string near = nearest_name(given, legal);
  return near.empty() ? "" : "; did you mean \"" + near + "\"?";
}

std::string suggestion(std::string_view given, const std::vector<std::string>& legal) {
  if (std::string near = did_you_mean(given, legal); !near.empty()) return near;
  return legal.empty() || legal.size() > kListedMax ? "" : "; one of " + listed(legal);
}

}  // namespace modelhop
