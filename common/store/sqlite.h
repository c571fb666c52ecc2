#pragma once
// The few calls of SQLite that the journal needs, as values and RAII. Threads: one at a time per Database.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace modelhop {

inline constexpr int kLogPagesMax = 1'000;  // of a write-ahead log, then it is copied back: 4 MB

class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  ~Statement();
  Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement& operator=(Statement&&) = delete;

  // Parameters count from 1. What is bound must live until the next reset().
  void bind(int parameter, std::uint64_t value);
  void bind(int parameter, std::string_view text);
  void bind(int parameter, std::span<const std::uint8_t> blob);
  // True: a row is there. False: done.
  Result<bool> step();
  void reset();

  // Of the row; columns count from 0. Views live until the next step().
  std::uint64_t integer(int column) const;
  std::string_view text(int column) const;
  std::span<const std::uint8_t> blob(int column) const;

 private:
  sqlite3_stmt* statement_;
};

class Database {
 public:
  enum class Mode : std::uint8_t { kCreate, kRead };
  // kRead never writes, not even a log file where the folder is read-only.
  static Result<Database> open(const std::string& path, Mode mode);

  Status run(const std::string& sql);
  Result<Statement> prepare(const std::string& sql);
  Result<std::uint64_t> number(const std::string& sql);  // of a query's only row

  // Of a database in WAL mode. From the first call on, its log is copied back by these calls alone, once it has
  // kLogPagesMax pages; SQLite's own way would not tell of a disk that refuses it. To be called after each commit.
  Status checkpoint();

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  explicit Database(sqlite3* handle) : handle_(handle) {}
  std::unique_ptr<int> log_pages_;  // after the last commit; SQLite has its address
  std::unique_ptr<sqlite3, Close> handle_;
};

}  // namespace modelhop
