#pragma once
// Data on stdout: one list as a table, JSON or CSV.
#include <functional>
#include <string>
#include <vector>

#include "cli/json_input.h"

namespace modelhop::cli {

enum class Format : std::uint8_t { kTable, kJson, kCsv };
Format format_of(const std::string& name);  // REQUIRES: table, json or csv

struct Column {
  std::string title;                            // upper case in a table, lower case in CSV
  std::function<Json(const Json& item)> value;  // null: nothing to show
};
// A column that shows one key of each item.
Column key_column(const std::string& title, const std::string& key);

// A table for people: numbers short and right-aligned, "-" for nothing, no more than `width` columns where it is given.
std::string format_table(const std::vector<Column>& columns, const std::vector<Json>& items, std::size_t width = 0);
std::string format_csv(const std::vector<Column>& columns, const std::vector<Json>& items);
void print_items(Format format, const std::vector<Column>& columns, const std::vector<Json>& items);
void print_json(const Json& json);
// One object for people, or its fields as rows of key and value. REQUIRES: not json, which prints the object itself.
void print_fields(Format format, const std::vector<std::pair<std::string, std::string>>& fields);
// A value there: short for people, whole for programs.
std::string field_text(Format format, const Json& value);
// "key  value" lines.
std::string format_fields(const std::vector<std::pair<std::string, std::string>>& fields);

std::string short_number(double value);       // 4 significant digits
std::string duration_text(double seconds);    // 0.4s, 12s, 3m05s, 2h10m
std::string bytes_text(double bytes);         // 812 B, 3.2 MB
std::string params_text(const Json& params);  // lr=0.001 batch_size=64: last path parts, longer where alike
std::string cell_text(const Json& value);
std::size_t display_width(std::string_view text);  // code points; escape sequences count nothing
std::string cut_to_width(std::string_view text, std::size_t width);
// Control characters of a name or message would drive the terminal: they become '?'.
std::string printable(std::string_view text);

}  // namespace modelhop::cli
