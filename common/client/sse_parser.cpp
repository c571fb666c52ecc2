#include "common/client/http_client.h"

namespace modelhop {

bool SseParser::add(std::string_view bytes) {
  rest_ += bytes;
  std::size_t from = 0;
  for (;;) {
    const std::size_t end = rest_.find('\n', from);
    if (end == std::string::npos) break;
    std::string_view line(rest_.data() + from, end - from);
    if (line.ends_with('\r')) line.remove_suffix(1);
    take_line(line);
    from = end + 1;
    if (open_.data.size() > kSseEventBytesMax) return false;
  }
  rest_.erase(0, from);
  return rest_.size() <= kSseEventBytesMax;
}

void SseParser::take_line(std::string_view line) {
  if (line.empty()) {
    if (any_) {
      open_.id = last_id_;
      if (open_.type.empty()) open_.type = "message";
      ready_.push_back(std::move(open_));
    }
    open_ = {};
    any_ = false;
    return;
  }
  if (line.front() == ':') return;
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (any_) open_.data += '\n';
    open_.data += value;
    any_ = true;
  } else if (field == "event") {
    open_.type = value;
  } else if (field == "id") {
    last_id_ = value;
  }
}

std::optional<SseEvent> SseParser::next() {
  if (given_ == ready_.size()) {
    ready_.clear();
    given_ = 0;
    return std::nullopt;
  }
  return std::move(ready_[given_++]);
}

}  // namespace modelhop
