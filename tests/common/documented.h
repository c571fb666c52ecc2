#pragma once
// Examples in docs/ that a test keeps equal to what the code writes.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

namespace modelhop {

// The text between the line "<!-- example: NAME -->" plus its opening ``` line, and the closing ```.
inline std::string documented_example(const std::string& file, const std::string& name) {
  std::ifstream in(std::string(MODELHOP_SOURCE_DIR) + "/docs/" + file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t mark = text.find("<!-- example: " + name + " -->");
  if (mark == std::string::npos) return "no example '" + name + "' in docs/" + file;
  const std::size_t fence = text.find("```", mark);
  const std::size_t begin = text.find('\n', fence) + 1;
  return text.substr(begin, text.find("```", begin) - begin);
}

// Whether that example is `actual`, which is kept in the build tree: after a wanted change, copy it from there.
inline bool is_documented(const std::string& file, const std::string& name, const std::string& actual) {
  std::ofstream(std::string(MODELHOP_BINARY_DIR) + "/example-" + name + ".txt") << actual;
  return documented_example(file, name) == actual;
}

// As `hexdump -C -s from` prints it: "*" for lines equal to the one before, the size last.
inline std::string hexdump(std::span<const std::uint8_t> bytes, std::size_t from = 0) {
  std::string out, before;
  bool starred = false;
  char part[32];
  for (std::size_t at = from; at < bytes.size(); at += 16) {
    const auto line = bytes.subspan(at, std::min<std::size_t>(16, bytes.size() - at));
    std::string hex, ascii;
    for (std::size_t i = 0; i < 16; ++i) {
      std::snprintf(part, sizeof part, i < line.size() ? " %02x" : "   ", i < line.size() ? line[i] : 0);
      hex += i == 8 ? std::string(" ") + part : part;
      if (i < line.size()) ascii += line[i] >= 0x20 && line[i] < 0x7f ? static_cast<char>(line[i]) : '.';
    }
    const std::string shown = " " + hex + "  |" + ascii + "|\n";
    if (shown == before) {
      if (!starred) out += "*\n";
      starred = true;
      continue;
    }
    starred = false;
    before = shown;
    std::snprintf(part, sizeof part, "%08zx", at);
    out += part + shown;
  }
  std::snprintf(part, sizeof part, "%08zx\n", bytes.size());
  return out + part;
}

}  // namespace modelhop
