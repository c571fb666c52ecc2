#pragma once
// Cursor paging: {"items":[...],"next":"<cursor>"|null}. A cursor is opaque to clients; it names the last item's place
// in the order, so items that appear meanwhile neither repeat nor hide others.
#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "scheduler/api/json_text.h"

namespace modelhop {

inline constexpr std::size_t kPageMax = 1000;  // items of one page
inline constexpr std::size_t kPageDefault = 100;
inline constexpr std::size_t kCursorBytesMax = 512;

// Where an item stands: by rank (items without a key come last), number, text, then id.
struct PageKey {
  int rank{};
  double number{};
  std::string text;
  std::uint64_t id{};
  auto tie() const { return std::tie(rank, number, text, id); }
  bool operator<(const PageKey& other) const { return tie() < other.tie(); }
};

std::string to_cursor(const PageKey& key);
std::optional<PageKey> parse_cursor(const std::string& text);

struct PageItem {
  PageKey key;
  const void* row{};
};

// The `limit` items after `after`, in order; `next` is set where more follow.
struct Page {
  std::vector<PageItem> items;
  std::optional<std::string> next;
};
Page page_of(std::vector<PageItem> items, const std::optional<PageKey>& after, std::size_t limit);

}  // namespace modelhop
