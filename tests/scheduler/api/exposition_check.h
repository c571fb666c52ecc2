#pragma once
// Reads Prometheus text (format 0.0.4) strictly: what a scraper would refuse, or take for something else, is a problem.
#include <charconv>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace modelhop::test {

struct Exposed {
  std::vector<std::string> problems;         // "line 7: ..."
  std::map<std::string, std::string> types;  // family -> counter, gauge, histogram
  std::map<std::string, double> values;      // name{labels} as written -> value
  double operator[](const std::string& series) const {
    const auto found = values.find(series);
    return found == values.end() ? -1 : found->second;
  }
  // Over all series of the family, or those whose labels hold `label`.
  double sum(const std::string& family, const std::string& label = "") const {
    double total = 0;
    for (const auto& [series, value] : values) {
      if (series.substr(0, series.find('{')) == family && series.find(label) != std::string::npos) total += value;
    }
    return total;
  }
};

class ExpositionReader {
 public:
  explicit ExpositionReader(const std::string& text) {
    if (!text.empty() && text.back() != '\n') problem("the last line has no end");
    for (std::size_t from = 0; from < text.size();) {
      const std::size_t end = std::min(text.find('\n', from), text.size());
      ++number_;
      line(text.substr(from, end - from));
      from = end + 1;
    }
    finish_family();
  }
  Exposed take() { return std::move(out_); }

 private:
  using Labels = std::map<std::string, std::string>;

  void problem(const std::string& what) { out_.problems.push_back("line " + std::to_string(number_) + ": " + what); }

  static bool is_name(std::string_view text, bool colons) {
    if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
    for (const char c : text) {
      const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
      if (!word && !(colons && c == ':')) return false;
    }
    return true;
  }

  void line(const std::string& text) {
    if (text.starts_with("# HELP ")) return help(text.substr(7));
    if (text.starts_with("# TYPE ")) return type(text.substr(7));
    if (text.starts_with("#") || text.empty()) return problem("neither HELP, TYPE nor a sample: " + text);
    sample(text);
  }

  void help(const std::string& text) {
    finish_family();
    const std::size_t space = text.find(' ');
    family_ = text.substr(0, space);
    if (!is_name(family_, true)) problem("no name: " + family_);
    if (space == std::string::npos || text.size() <= space + 1) problem("HELP without a text: " + family_);
    if (!helped_.insert(family_).second) problem("a second HELP of " + family_);
    type_.clear();
  }

  void type(const std::string& text) {
    const std::size_t space = text.find(' ');
    if (text.substr(0, space) != family_) problem("TYPE of " + text + " does not follow its HELP");
    type_ = space == std::string::npos ? "" : text.substr(space + 1);
    if (type_ != "counter" && type_ != "gauge" && type_ != "histogram") problem("no type: " + type_);
    if (!out_.types.emplace(family_, type_).second) problem("a second TYPE of " + family_);
    if (type_ == "counter" && !family_.ends_with("_total")) problem("a counter's name ends in _total: " + family_);
    if (type_ != "counter" && family_.ends_with("_total")) problem("only a counter's name ends in _total: " + family_);
  }

  // name{label="value",...} number
  void sample(const std::string& text) {
    std::size_t at = text.find_first_of("{ ");
    if (at == std::string::npos) return problem("a sample without a value: " + text);
    const std::string name = text.substr(0, at);
    Labels labels;
    if (text[at] == '{' && !read_labels(text, at, labels)) return problem("bad labels: " + text);
    if (at >= text.size() || text[at] != ' ') return problem("no space before the value: " + text);
    const std::string series = text.substr(0, at), written = text.substr(at + 1);
    double value = 0;
    if (written == "+Inf" || written == "-Inf" || written == "NaN") return problem("not a number: " + text);
    const auto end = std::from_chars(written.data(), written.data() + written.size(), value);
    if (end.ec != std::errc() || end.ptr != written.data() + written.size()) return problem("no value: " + text);
    if (!seen_.insert({name, labels}).second) problem("a second " + series);
    if (type_ != "gauge" && value < 0) problem("below 0: " + text);
    out_.values[series] = value;
    ++samples_;
    if (type_ != "histogram") {
      if (name != family_ || type_.empty()) problem(name + " does not stand under its HELP and TYPE");
      return;
    }
    const std::string suffix = name.starts_with(family_) ? name.substr(family_.size()) : "?";
    const auto bound = labels.find("le");
    if (suffix == "_bucket" && bound != labels.end()) {
      const std::string le = bound->second;
      labels.erase(bound);
      buckets_[labels].push_back({le, value});
    } else if (suffix == "_sum" && bound == labels.end()) {
      sums_.insert(labels);
    } else if (suffix == "_count" && bound == labels.end()) {
      counts_[labels] = value;
    } else {
      problem(series + " is no part of the histogram " + family_);
    }
  }

  static bool read_labels(const std::string& text, std::size_t& at, Labels& out) {
    while (text[at] != '}') {
      const std::size_t equals = text.find('=', ++at);
      if (equals == std::string::npos || equals + 1 >= text.size() || text[equals + 1] != '"') return false;
      const std::string name = text.substr(at, equals - at);
      std::string value;
      for (at = equals + 2; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\') {
          ++at;
          if (at >= text.size() || (text[at] != '\\' && text[at] != '"' && text[at] != 'n')) return false;
        }
        value += text[at];
      }
      if (++at >= text.size() || (text[at] != ',' && text[at] != '}')) return false;
      if (!is_name(name, false) || !out.emplace(name, value).second) return false;
    }
    ++at;
    return true;
  }

  // A histogram's buckets grow in bound and count, and end with +Inf, which equals its count; it has a sum.
  void finish_family() {
    if (!family_.empty() && type_.empty()) problem("no TYPE of " + family_);
    if (!family_.empty() && samples_ == 0) problem("no sample of " + family_);
    for (const auto& [labels, buckets] : buckets_) {
      double bound = -1, count = 0;
      for (std::size_t i = 0; i < buckets.size(); ++i) {
        const auto& [le, value] = buckets[i];
        const bool last = i + 1 == buckets.size();
        double next = 0;
        std::from_chars(le.data(), le.data() + le.size(), next);
        if (last != (le == "+Inf") || (!last && next <= bound)) problem(family_ + " has its bounds out of order");
        if (value < count) problem(family_ + " has a bucket that is less than the one before");
        bound = next;
        count = value;
      }
      if (counts_.count(labels) == 0 || counts_[labels] != count) problem(family_ + " counts other than its buckets");
      if (!sums_.contains(labels)) problem(family_ + " has no sum");
    }
    if (counts_.size() != buckets_.size() || sums_.size() != buckets_.size()) problem(family_ + " lacks buckets");
    buckets_.clear();
    counts_.clear();
    sums_.clear();
    samples_ = 0;
  }

  Exposed out_;
  std::size_t number_ = 0, samples_ = 0;
  std::string family_, type_;
  std::set<std::string> helped_;
  std::set<std::pair<std::string, Labels>> seen_;
  std::map<Labels, std::vector<std::pair<std::string, double>>> buckets_;
  std::map<Labels, double> counts_;
  std::set<Labels> sums_;
};

inline Exposed read_exposition(const std::string& text) { return ExpositionReader(text).take(); }

}  // namespace modelhop::test
