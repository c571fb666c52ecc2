#pragma once
// Log files that do not grow without limit: one past its size becomes NAME.1.log, and the oldest of kLogFiles goes.
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace spdlog::sinks {
class sink;
}

namespace modelhop {

inline constexpr std::size_t kLogBytesMax = 16 << 20;     // of one file
inline constexpr std::size_t kLogFiles = 4;               // of one log, the current one included
inline constexpr std::size_t kLogLineBytesMax = 8 << 10;  // of a process's output; a longer line is broken

// The folder of `path` is there. Any thread may write.
Result<std::shared_ptr<spdlog::sinks::sink>> open_log_file(const std::string& path, std::size_t bytes_max);

// What a process writes, line by line, in a log file. Threads: its owner's.
class OutputLog {
 public:
  static Result<OutputLog> open(const std::string& path, std::size_t bytes_max);
  void write(std::string_view bytes);
  void end();  // the process has ended: what has no end of line yet is a line, too

 private:
  explicit OutputLog(std::shared_ptr<spdlog::sinks::sink> file) : file_(std::move(file)) {}
  void write_line(std::string_view line);
  void flush();
  void complain(const char* what);

  std::shared_ptr<spdlog::sinks::sink> file_;
  std::string line_;  // begun
  bool complained_ = false;
};

}  // namespace modelhop
