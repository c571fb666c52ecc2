#include "scheduler/server/log_file.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace modelhop {

Result<std::shared_ptr<spdlog::sinks::sink>> open_log_file(const std::string& path, std::size_t bytes_max) {
  try {
    return std::shared_ptr<spdlog::sinks::sink>(
        std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, bytes_max, kLogFiles - 1));
  } catch (const spdlog::spdlog_ex& error) {
    return environment(path + ": " + error.what());
  }
}

Result<OutputLog> OutputLog::open(const std::string& path, std::size_t bytes_max) {
  ASSIGN_OR_RETURN(std::shared_ptr<spdlog::sinks::sink> file, open_log_file(path, bytes_max));
  file->set_pattern("%v");  // its lines have times of their own
  return OutputLog(std::move(file));
}

void OutputLog::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t room = kLogLineBytesMax - line_.size();
    const std::size_t end = std::min({bytes.find('\n'), bytes.size(), room});
    line_.append(bytes.substr(0, end));
    const bool ended = end < bytes.size() && bytes[end] == '\n';
    bytes.remove_prefix(end + (ended ? 1 : 0));
    if (ended || line_.size() == kLogLineBytesMax) write_line(std::exchange(line_, {}));
  }
  flush();
}

void OutputLog::end() {
  if (!line_.empty()) write_line(std::exchange(line_, {}));
  flush();
}

void OutputLog::write_line(std::string_view line) {
  try {
    file_->log(spdlog::details::log_msg("", spdlog::level::info, {line.data(), line.size()}));
  } catch (const spdlog::spdlog_ex& error) {
    complain(error.what());
  }
}

void OutputLog::flush() {
  try {
    file_->flush();
  } catch (const spdlog::spdlog_ex& error) {
    complain(error.what());
  }
}

// A full disk costs lines of the log, not the run.
void OutputLog::complain(const char* what) {
  if (!complained_) std::fprintf(stderr, "%s; lines of this log are lost until it can be written again\n", what);
  complained_ = true;
}

}  // namespace modelhop
