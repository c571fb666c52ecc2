#pragma once
// What journal.db holds; shared by its writer and its readers. Format: docs/formats.md, "Journal".
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/store/sqlite.h"

namespace modelhop {

inline constexpr std::uint64_t kJournalApplicationId = 0x4d484f50;  // "MHOP"
inline constexpr std::uint64_t kJournalVersion = 1;                 // of the tables; each record has its own

std::string journal_path(const std::string& state_dir);

// A record's check covers its row and the check before it, so a row cannot be changed, lost or moved unseen.
ContentHash journal_check(const ContentHash& before, std::uint64_t seq, WallMs at, std::string_view type,
                          std::uint16_t version, std::string_view body);

// The journal's random id; made where it has none yet. kCorrupt: it is not what was written.
// REQUIRES: inside a write transaction.
Result<ClusterId> ensure_cluster(Database& database, const std::string& path);

// Refuses a file that is no journal of this version.
Status verify_journal_header(Database& database, const std::string& path);

}  // namespace modelhop
