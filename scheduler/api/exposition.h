#pragma once
// Exposition: writes Prometheus text, format 0.0.4, one family after another. Knows no metric.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/histogram.h"

namespace modelhop {

class Exposition {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  // The samples that follow are this family's. REQUIRES: no family of this name was begun before.
  void gauge(std::string_view name, std::string_view help) { begin(name, "gauge", help); }
  void counter(std::string_view name, std::string_view help) { begin(name, "counter", help); }
  void histogram(std::string_view name, std::string_view help) { begin(name, "histogram", help); }

  void sample(const Labels& labels, double value) { line("", labels, value); }
  void sample(const Labels& labels, std::uint64_t value) { line("", labels, static_cast<double>(value)); }
  void sample(const Labels& labels, const Histogram& durations);  // in seconds

  std::string take() { return std::move(text_); }

 private:
  void begin(std::string_view name, std::string_view type, std::string_view help);
  void line(std::string_view suffix, const Labels& labels, double value);

  std::string name_, text_;
};

}  // namespace modelhop
