#include "common/store/sqlite.h"

#include <sqlite3.h>

#include <filesystem>

namespace modelhop {
namespace {

constexpr int kBusyMs = 5'000;  // a reader beside the writer waits so long at a checkpoint

Status failed(sqlite3* handle, const std::string& what) {
  const int code = handle == nullptr ? SQLITE_NOMEM : sqlite3_errcode(handle);
  const char* path = handle == nullptr ? nullptr : sqlite3_db_filename(handle, "main");
  const std::string name = path == nullptr || what.starts_with(path) ? "" : std::string(path) + ": ";
  const std::string message = name + what + ": " + (handle == nullptr ? "out of memory" : sqlite3_errmsg(handle));
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) return corrupt(message);
  return environment(message);
}

// A path as SQLite's URI, so that its own '?', '#' and '%' mean nothing.
std::string uri_of(const std::string& path, const char* query) {
  std::string uri = "file:";
  for (char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      static constexpr char kDigits[] = "0123456789ABCDEF";
      uri += {'%', kDigits[(c >> 4) & 15], kDigits[c & 15]};
    } else {
      uri += c;
    }
  }
  return uri + query;
}

}  // namespace

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::bind(int parameter, std::uint64_t value) {
  sqlite3_bind_int64(statement_, parameter, static_cast<sqlite3_int64>(value));
}

void Statement::bind(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_, parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::bind(int parameter, std::span<const std::uint8_t> blob) {
  sqlite3_bind_blob64(statement_, parameter, blob.data(), blob.size(), SQLITE_STATIC);
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return failed(sqlite3_db_handle(statement_), "SQLite");
}

void Statement::reset() { sqlite3_reset(statement_); }

std::uint64_t Statement::integer(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
}

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return data == nullptr ? std::string_view() : std::string_view(data, sqlite3_column_bytes(statement_, column));
}

std::span<const std::uint8_t> Statement::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  return {data, data == nullptr ? 0 : static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Result<Database> Database::open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
  if (mode == Mode::kCreate) {
    const int code =
        sqlite3_open_v2(uri_of(path, "").c_str(), &handle, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    Database database(handle);
    if (code != SQLITE_OK) return failed(handle, path);
    sqlite3_busy_timeout(handle, kBusyMs);
    return database;
  }
  // In a folder that we may not write, a database without a log is read as what it is: nobody is changing it.
  std::error_code ignored;
  const std::filesystem::path log = path + "-wal";
  const bool has_log = std::filesystem::exists(log, ignored) && std::filesystem::file_size(log, ignored) > 0;
  for (const char* query : {"?mode=ro", "?mode=ro&immutable=1"}) {
    const int code = sqlite3_open_v2(uri_of(path, query).c_str(), &handle, flags | SQLITE_OPEN_READONLY, nullptr);
    Database database(handle);
    sqlite3_busy_timeout(handle, kBusyMs);
    // SQLite opens lazily; this touches the file.
    if (code == SQLITE_OK &&
        sqlite3_exec(handle, "SELECT 1 FROM sqlite_master LIMIT 1", nullptr, nullptr, nullptr) == SQLITE_OK) {
      return database;
    }
    if (has_log || sqlite3_errcode(handle) != SQLITE_CANTOPEN || std::string_view(query) != "?mode=ro") {
      return failed(handle, path);
    }
  }
  return environment(path + ": cannot be opened");
}

Status Database::run(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return failed(handle_.get(), sql);
}

Status Database::checkpoint() {
  if (log_pages_ == nullptr) {
    log_pages_ = std::make_unique<int>(kLogPagesMax);  // unknown: look now
    const auto note = [](void* pages, sqlite3*, const char*, int now) {
      *static_cast<int*>(pages) = now;
      return SQLITE_OK;
    };
    sqlite3_wal_hook(handle_.get(), note, log_pages_.get());
  }
  if (*log_pages_ < kLogPagesMax) return {};
  const int code = sqlite3_wal_checkpoint_v2(handle_.get(), "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  // What a reader still needs is copied by a later call.
  if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) return {};
  return failed(handle_.get(), "checkpoint");
}

Result<Statement> Database::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle_.get(), sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
    return failed(handle_.get(), sql);
  return Statement(statement);
}

Result<std::uint64_t> Database::number(const std::string& sql) {
  ASSIGN_OR_RETURN(Statement statement, prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.step());
  if (!row) return corrupt(sql + ": has no row");
  return statement.integer(0);
}

}  // namespace modelhop
