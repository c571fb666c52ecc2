#include "common/spec/json_reader.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace modelhop {
namespace {

using nlohmann::json;

constexpr std::size_t kFaultsMax = 100;  // then reading stops: enough to mend a file by
constexpr std::size_t kFaultReasonBytesMax = 200;

// Follows the pointer of the value being read.
class Trail {
 public:
  void open(bool is_array) { steps_.push_back({is_array, {}, 0, 0}); }
  void close() { steps_.pop_back(); }
  void key(const std::string& key) {
    steps_.back().key = key;
    steps_.back().size = pointer_step(key).size();
  }
  void next() {  // the value at the present place is complete
    if (!steps_.empty()) ++steps_.back().index;
  }
  std::size_t depth() const { return steps_.size(); }
  std::size_t pointer_size() const {
    std::size_t out = 0;
    for (const Step& step : steps_) out += step.is_array ? 1 + std::to_string(step.index).size() : step.size;
    return out;
  }
  std::string pointer() const {
    std::string out;
    for (const Step& step : steps_) out += step.is_array ? pointer_step(step.index) : pointer_step(step.key);
    return out;
  }

 private:
  struct Step {
    bool is_array;
    std::string key;
    std::size_t index;
    std::size_t size;  // of the key as a pointer's step
  };
  std::vector<Step> steps_;
};

std::string line_and_column(std::string_view text, std::size_t position) {
  const std::string_view before = text.substr(0, std::min(position > 0 ? position - 1 : 0, text.size()));
  const std::size_t line = 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// nlohmann's text without its prefix ("[json.exception.parse_error.101] parse error at line 1, column 2: "), cut,
// ASCII.
std::string reason_of(std::string_view what) {
  if (const std::size_t bracket = what.find("] "); bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
  if (what.starts_with("parse error at ")) {
    if (const std::size_t colon = what.find(": "); colon != std::string_view::npos) what.remove_prefix(colon + 2);
  }
  std::string out(what.substr(0, kFaultReasonBytesMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) >= 0x7f || static_cast<unsigned char>(c) < 0x20) c = '?';
  }
  return what.size() > kFaultReasonBytesMax ? out + "..." : out;
}

// Builds the document. Of equal keys the first counts; the others' values are read into `discarded_`.
class Builder final : public nlohmann::json_sax<json> {
 public:
  Builder(std::string_view text, const JsonLimits& limits, JsonDocument& out)
      : text_(text), limits_(limits), out_(out) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return stop("binary values are no JSON"); }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (name.size() > kJsonKeyBytesMax) {
      return stop("holds a key of more than " + std::to_string(kJsonKeyBytesMax) + " bytes");
    }
    trail_.key(name);
    auto [slot, added] = parents_.back()->get_ref<json::object_t&>().try_emplace(name);
    slot_ = &slot->second;
    if (added) return true;
    slot_ = &discarded_.emplace_back();
    out_.faults.push_back({trail_.pointer(), "is there twice; keep one"});
    return out_.faults.size() < kFaultsMax;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception& error) override {
    out_.faults.push_back({"", line_and_column(text_, position) + ": " + reason_of(error.what())});
    return false;
  }

 private:
  bool stop(std::string message) {
    out_.faults.push_back({trail_.pointer(), std::move(message)});
    return false;
  }

  // Puts a value at the present place and points `slot_` at it.
  bool place(json&& value) {
    if (++values_ > limits_.values_max) {
      return stop("the document has more than " + std::to_string(limits_.values_max) + " values");
    }
    if (parents_.empty()) {
      out_.value = std::move(value);
      slot_ = &out_.value;
    } else if (parents_.back()->is_array()) {
      slot_ = &parents_.back()->get_ref<json::array_t&>().emplace_back(std::move(value));
    } else {
      *slot_ = std::move(value);
    }
    return true;
  }

  bool add(json&& value) {
    if (!place(std::move(value))) return false;
    trail_.next();
    return true;
  }

  bool open(json&& empty) {
    if (trail_.depth() >= limits_.depth_max) {
      return stop("is more than " + std::to_string(limits_.depth_max) + " objects and lists deep");
    }
    const bool is_array = empty.is_array();
    if (!place(std::move(empty))) return false;
    parents_.push_back(slot_);
    trail_.open(is_array);
    return true;
  }

  bool close() {
    parents_.pop_back();
    trail_.close();
    trail_.next();
    return true;
  }

  const std::string_view text_;
  const JsonLimits& limits_;
  JsonDocument& out_;
  Trail trail_;
  // Addresses stay valid: only the innermost container grows, and it grows by whole children.
  std::vector<json*> parents_;
  json* slot_ = nullptr;
  std::deque<json> discarded_;  // one each: such a value may itself hold equal keys, while it is still being read
  std::size_t values_ = 0;
};

// Gives each wanted pointer the ordinal of the value it names.
class Order final : public nlohmann::json_sax<json> {
 public:
  explicit Order(std::map<std::string, std::size_t>& wanted) : wanted_(wanted) {
    for (const auto& [pointer, ordinal] : wanted) lengths_.insert(pointer.size());
  }
  bool null() override { return visit(); }
  bool boolean(bool) override { return visit(); }
  bool number_integer(number_integer_t) override { return visit(); }
  bool number_unsigned(number_unsigned_t) override { return visit(); }
  bool number_float(number_float_t, const string_t&) override { return visit(); }
  bool string(string_t&) override { return visit(); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(false); }
  bool start_array(std::size_t) override { return open(true); }
  bool key(string_t& name) override {
    trail_.key(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override { return false; }

 private:
  bool visit() {
    mark();
    trail_.next();
    return true;
  }
  void mark() {
    if (lengths_.contains(trail_.pointer_size())) {
      const auto found = wanted_.find(trail_.pointer());
      // Of equal keys the first counts.
      if (found != wanted_.end()) found->second = std::min(found->second, ordinal_);
    }
    ++ordinal_;
  }
  bool open(bool is_array) {
    mark();
    trail_.open(is_array);
    return true;
  }
  bool close() {
    trail_.close();
    trail_.next();
    return true;
  }

  std::map<std::string, std::size_t>& wanted_;
  std::set<std::size_t> lengths_;
  Trail trail_;
  std::size_t ordinal_ = 0;
};

constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

}  // namespace

std::string pointer_step(std::string_view key) {
  std::string out = "/";
  for (char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string pointer_step(std::size_t index) { return "/" + std::to_string(index); }

JsonDocument read_json_document(std::string_view text, const JsonLimits& limits) {
  JsonDocument out;
  if (text.size() > limits.bytes_max) {
    out.faults.push_back({"", "has " + std::to_string(text.size()) + " bytes; at most " +
                                  std::to_string(limits.bytes_max) + " are read"});
    return out;
  }
  // nlohmann's lexer takes a zero byte for the end of the text.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    out.faults.push_back({"", line_and_column(text, zero + 1) + ": a zero byte"});
    return out;
  }
  Builder builder(text, limits, out);
  out.whole = json::sax_parse(text.begin(), text.end(), &builder);
  return out;
}

Result<nlohmann::json> read_json(std::string_view text, const JsonLimits& limits) {
  JsonDocument document = read_json_document(text, limits);
  if (document.faults.empty()) return std::move(document.value);
  const JsonFault& fault = document.faults.front();
  return invalid(fault.pointer.empty() ? fault.message : fault.pointer + ": " + fault.message);
}

std::vector<std::size_t> reading_order(std::string_view text, const std::vector<std::string>& pointers) {
  std::map<std::string, std::size_t> wanted;
  for (std::string pointer : pointers) {
    while (wanted.try_emplace(pointer, kNowhere).second && !pointer.empty()) pointer.resize(pointer.rfind('/'));
  }
  Order order(wanted);
  json::sax_parse(text.begin(), text.end(), &order);
  std::vector<std::size_t> out;
  for (std::string pointer : pointers) {
    while (wanted[pointer] == kNowhere && !pointer.empty()) pointer.resize(pointer.rfind('/'));
    out.push_back(wanted[pointer]);
  }
  return out;
}

}  // namespace modelhop
