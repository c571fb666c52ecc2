#pragma once
// What journal.db holds; shared by its writer and its readers. Format: docs/formats.md, "Journal".
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/store/sqlite.h"
#include "common/store/witness.h"

namespace modelhop {

inline constexpr std::uint64_t kJournalApplicationId = 0x4d484f50;  // "MHOP"
// Of the tables; each record has its own. 2 added `base`; 1 is read as one without it.
inline constexpr std::uint64_t kJournalVersion = 2;
inline constexpr const char* kInsertRecord =
    "INSERT INTO records (seq, at, type, version, experiment, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";

std::string journal_path(const std::string& state_dir);

// A record's check covers its row and the check before it, so a row cannot be changed, lost or moved unseen.
ContentHash journal_check(const ContentHash& before, std::uint64_t seq, WallMs at, std::string_view type,
                          std::uint16_t version, std::string_view body);

// The journal's random id; made where it has none yet. kCorrupt: it is not what was written.
// REQUIRES: inside a write transaction.
Result<ClusterId> ensure_cluster(Database& database, const std::string& path);

// Moves `end`, the record before, to this one. kCorrupt, naming the seq: it is not the next, or not what was written.
Status verify_row(std::uint64_t seq, WallMs at, std::string_view type, std::uint64_t version, std::string_view body,
                  std::span<const std::uint8_t> check, JournalEnd& end);

// In a transaction; what is there stays.
Status create_journal_tables(Database& database);
// The record before the first that the file holds; kCorrupt: a file of this version has none.
Result<JournalEnd> read_base(Database& database, const std::string& path);
Status write_base(Database& database, const JournalEnd& base);

// Refuses a file that is no journal of a version that this program reads.
Status verify_journal_header(Database& database, const std::string& path);

}  // namespace modelhop
