#include "common/store/journal_format.h"

#include <algorithm>
#include <limits>

namespace modelhop {
namespace {

constexpr const char* kTables =
    "CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, "
    "version INTEGER NOT NULL, experiment INTEGER NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS records_of_experiment ON records (experiment, seq);"
    "CREATE TABLE IF NOT EXISTS base (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL);"
    "INSERT OR IGNORE INTO base VALUES (1, 0, zeroblob(16));";

}  // namespace

std::string journal_path(const std::string& state_dir) { return state_dir + "/journal.db"; }

ContentHash journal_check(const ContentHash& before, std::uint64_t seq, WallMs at, std::string_view type,
                          std::uint16_t version, std::string_view body) {
  Hasher hasher;
  hasher.add(before.bytes);
  hasher.add_u64(seq);
  hasher.add_u64(static_cast<std::uint64_t>(at.value));
  hasher.add_u64(type.size());
  hasher.add(type);
  hasher.add_u64(version);
  hasher.add(body);
  return hasher.finish();
}

Status verify_row(std::uint64_t seq, WallMs at, std::string_view type, std::uint64_t version, std::string_view body,
                  std::span<const std::uint8_t> check, JournalEnd& end) {
  const std::uint64_t expected = end.seq + 1;
  if (seq != expected) return corrupt("record " + std::to_string(expected) + " is missing");
  if (version > std::numeric_limits<std::uint16_t>::max()) {
    return corrupt("record " + std::to_string(expected) + " has no version");
  }
  end = {expected, journal_check(end.check, seq, at, type, static_cast<std::uint16_t>(version), body)};
  if (!std::equal(check.begin(), check.end(), end.check.bytes.begin(), end.check.bytes.end())) {
    return corrupt("record " + std::to_string(expected) + " or one before it is not what was written");
  }
  return {};
}

Status create_journal_tables(Database& database) {
  RETURN_IF_ERROR(database.run("PRAGMA application_id=" + std::to_string(kJournalApplicationId)));
  RETURN_IF_ERROR(database.run("PRAGMA user_version=" + std::to_string(kJournalVersion)));
  return database.run(kTables);
}

Result<JournalEnd> read_base(Database& database, const std::string& path) {
  ASSIGN_OR_RETURN(const std::uint64_t version, database.number("PRAGMA user_version"));
  if (version == 1) return JournalEnd{};
  ASSIGN_OR_RETURN(Statement row, database.prepare("SELECT seq, hash FROM base"));
  ASSIGN_OR_RETURN(const bool there, row.step());
  JournalEnd base;
  const auto hash = there ? row.blob(1) : std::span<const std::uint8_t>();
  if (hash.size() != base.check.bytes.size()) return corrupt(path + ": does not say where its records begin");
  base.seq = row.integer(0);
  std::copy(hash.begin(), hash.end(), base.check.bytes.begin());
  return base;
}

Status write_base(Database& database, const JournalEnd& base) {
  ASSIGN_OR_RETURN(Statement update, database.prepare("INSERT OR REPLACE INTO base VALUES (1, ?, ?)"));
  update.bind(1, base.seq);
  update.bind(2, base.check.bytes);
  return update.step().status();
}

Status verify_journal_header(Database& database, const std::string& path) {
  ASSIGN_OR_RETURN(const std::uint64_t application, database.number("PRAGMA application_id"));
  if (application != kJournalApplicationId) return corrupt(path + ": is an SQLite file, but no journal of modelhop");
  ASSIGN_OR_RETURN(const std::uint64_t version, database.number("PRAGMA user_version"));
  if (version == 0 || version > kJournalVersion) {
    return invalid(path + ": has format " + std::to_string(version) + ", this program reads up to format " +
                   std::to_string(kJournalVersion));
  }
  return {};
}

}  // namespace modelhop
