#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "scheduler/api/export.h"
#include "scheduler/api/json_text.h"

namespace modelhop::cli {
namespace {

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::replace(text.begin(), text.end(), ' ', '_');
  return text;
}

}  // namespace

Format format_of(const std::string& name) {
  return name == "json" ? Format::kJson : name == "csv" ? Format::kCsv : Format::kTable;
}

Column key_column(const std::string& title, const std::string& key) {
  return {title, [key](const Json& item) { return member(item, key); }};
}

std::string short_number(double value) {
  if (value == 0) return "0";
  if (std::abs(value) >= 1e4 && value == std::floor(value) && std::abs(value) < 1e15)
    return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  if (seconds < 10) return fmt::format("{:.1f}s", seconds);
  if (seconds < 59.5) return fmt::format("{:.0f}s", seconds);
  const auto s = std::llround(seconds);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 172'800) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86400, s / 3600 % 24);
}

std::string bytes_text(double bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit < 5) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.3g} {}", bytes, units[unit]);
}

std::string cell_text(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string())
    return value.get_ref<const std::string&>().empty() ? "-" : printable(value.get_ref<const std::string&>());
  if (value.is_number_float()) return short_number(value.get<double>());
  return printable(dump(value));
}

std::string params_text(const Json& params) {
  if (!params.is_object()) return "";
  std::map<std::string, int> last_parts;
  const auto last = [](const std::string& path) { return path.substr(path.rfind('.') + 1); };
  for (const auto& [path, value] : params.items()) ++last_parts[last(path)];
  std::string out;
  for (const auto& [path, value] : params.items()) {
    out += (out.empty() ? "" : " ") + (last_parts[last(path)] > 1 ? path : last(path)) + "=" + cell_text(value);
  }
  return out;
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {  // up to the letter that ends the sequence
      while (i + 1 < text.size() && std::isalpha(static_cast<unsigned char>(text[i])) == 0) ++i;
      continue;
    }
    width += (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80 ? 0 : 1;
  }
  return width;
}

std::string cut_to_width(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  std::string out;
  std::size_t used = 0;
  bool escaped = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      escaped = true;
      while (i < text.size() && std::isalpha(static_cast<unsigned char>(text[i])) == 0) out += text[i++];
      if (i < text.size()) out += text[i];
      continue;
    }
    const bool starts = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (starts && used + 1 >= width) break;  // one place for the mark
    used += starts ? 1 : 0;
    out += text[i];
  }
  if (width > 0) out += "~";
  return escaped ? out + "\x1b[0m" : out;
}

std::string format_table(const std::vector<Column>& columns, const std::vector<Json>& items, std::size_t width) {
  std::vector<std::vector<std::string>> cells(items.size());
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (const Column& column : columns) {
    std::size_t widest = display_width(column.title);
    bool numbers = !items.empty();
    for (std::size_t row = 0; row < items.size(); ++row) {
      const Json value = column.value(items[row]);
      cells[row].push_back(cell_text(value));
      widest = std::max(widest, display_width(cells[row].back()));
      numbers = numbers && (value.is_number() || value.is_null());
    }
    widths.push_back(widest);
    right.push_back(numbers);
  }
  std::string out;
  const auto line = [&](const std::function<std::string(std::size_t)>& cell) {
    std::string text;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string value = cell(i);
      const std::string pad(widths[i] - std::min(widths[i], display_width(value)), ' ');
      text += (i == 0 ? "" : "  ") + (right[i] ? pad + value : value + pad);
    }
    while (text.ends_with(' ')) text.pop_back();
    out += (width > 0 ? cut_to_width(text, width) : text) + "\n";
  };
  line([&](std::size_t i) { return upper(columns[i].title); });
  for (const auto& row : cells) line([&](std::size_t i) { return row[i]; });
  return out;
}

std::string format_csv(const std::vector<Column>& columns, const std::vector<Json>& items) {
  std::string out;
  for (std::size_t i = 0; i < columns.size(); ++i) out += (i == 0 ? "" : ",") + csv_field(lower(columns[i].title));
  out += "\n";
  for (const Json& item : items) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Json value = columns[i].value(item);
      out += i == 0 ? "" : ",";
      if (value.is_string()) {
        out += csv_field(value.get_ref<const std::string&>());
      } else if (value.is_number_float()) {
        out += number_text(value.get<double>());
      } else if (!value.is_null()) {
        out += csv_field(dump(value));
      }
    }
    out += "\n";
  }
  return out;
}

void print_json(const Json& json) {
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_items(Format format, const std::vector<Column>& columns, const std::vector<Json>& items) {
  if (format == Format::kJson) return print_json(Json(items));
  const std::string text = format == Format::kCsv ? format_csv(columns, items) : format_table(columns, items);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

std::string format_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::size_t widest = 0;
  for (const auto& [key, value] : fields) widest = std::max(widest, display_width(key));
  std::string out;
  for (const auto& [key, value] : fields) {
    out += key + std::string(widest - display_width(key) + 2, ' ') + printable(value) + "\n";
  }
  return out;
}

std::string field_text(Format format, const Json& value) {
  if (format == Format::kTable) return cell_text(value);
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? number_text(value.get<double>()) : dump(value);
}

void print_fields(Format format, const std::vector<std::pair<std::string, std::string>>& fields) {
  if (format == Format::kTable) {
    const std::string text = format_fields(fields);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  std::vector<Json> rows;
  rows.reserve(fields.size());
  for (const auto& [key, value] : fields) rows.push_back({{"key", key}, {"value", value}});
  print_items(format, {key_column("key", "key"), key_column("value", "value")}, rows);
}

}  // namespace modelhop::cli
