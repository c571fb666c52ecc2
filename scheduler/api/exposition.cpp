#include "scheduler/api/exposition.h"

#include "common/base/time.h"
#include "scheduler/api/json_text.h"

namespace modelhop {
namespace {

// A label's value between quotes, or a help text: both end at a line's end.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
}

std::string number(double value) {
  const std::string text = number_text(value);
  return text == "Infinity" ? "+Inf" : text == "-Infinity" ? "-Inf" : text;
}

}  // namespace

void Exposition::begin(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, help, false);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::line(std::string_view suffix, const Labels& labels, double value) {
  text_.append(name_).append(suffix);
  char before = '{';
  for (const auto& [name, text] : labels) {
    text_ += before;
    text_.append(name).append("=\"");
    append_escaped(text_, text, true);
    text_ += '"';
    before = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_.append(" ").append(number(value)).append("\n");
}

void Exposition::sample(const Labels& labels, const Histogram& durations) {
  Labels bucket = labels;
  bucket.emplace_back("le", "");
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < durations.counts.size(); ++i) {
    total += durations.counts[i];
    const bool last = i == Histogram::kBoundsNs.size();
    bucket.back().second = last ? "+Inf" : number(seconds_of_ns(Histogram::kBoundsNs[i]));
    line("_bucket", bucket, static_cast<double>(total));
  }
  line("_sum", labels, seconds_of_ns(durations.sum_ns));
  line("_count", labels, static_cast<double>(total));
}

}  // namespace modelhop
