#include "scheduler/api/page.h"

#include <array>
#include <charconv>

namespace modelhop {

std::string to_cursor(const PageKey& key) {
  return std::to_string(key.rank) + "~" + number_text(key.number) + "~" + std::to_string(key.id) + "~" + key.text;
}

std::optional<PageKey> parse_cursor(const std::string& text) {
  if (text.size() > kCursorBytesMax) return std::nullopt;
  std::array<std::string, 3> field;
  std::size_t from = 0;
  for (auto& part : field) {
    const std::size_t end = text.find('~', from);
    if (end == std::string::npos) return std::nullopt;
    part = text.substr(from, end - from);
    from = end + 1;
  }
  PageKey key;
  const auto rank = parse_u64(field[0]);
  const auto id = parse_u64(field[2]);
  const auto number = std::from_chars(field[1].data(), field[1].data() + field[1].size(), key.number);
  if (!rank || *rank > 9 || !id || number.ec != std::errc() || number.ptr != field[1].data() + field[1].size() ||
      key.number != key.number) {
    return std::nullopt;
  }
  key.rank = static_cast<int>(*rank);
  key.id = *id;
  key.text = text.substr(from);
  return key;
}

Page page_of(std::vector<PageItem> items, const std::optional<PageKey>& after, std::size_t limit) {
  const auto before = [](const PageItem& a, const PageItem& b) { return a.key < b.key; };
  if (after) std::erase_if(items, [&](const PageItem& item) { return !(*after < item.key); });
  Page page;
  const std::size_t count = std::min(limit, items.size());
  std::partial_sort(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(count), items.end(), before);
  if (items.size() > count && count > 0) page.next = to_cursor(items[count - 1].key);
  items.resize(count);
  page.items = std::move(items);
  return page;
}

}  // namespace modelhop
