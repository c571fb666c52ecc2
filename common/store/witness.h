#pragma once
// Witness: STATE/witness, the newest record that somebody may have been told of. journal.db can lose its tail without a
// word (SQLite takes a damaged log for one that ends earlier); this file says where it must end.
// Written after each commit and before anybody hears of it, without fsync: it need not survive more than the process,
// and what it says is durable already. Format: docs/formats.md, "Witness". Threads: one at a time.
#include <optional>
#include <string>

#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/store/files.h"

namespace modelhop {

struct JournalEnd {     // a record, and all before it
  std::uint64_t seq{};  // 0: before the first
  ContentHash check;    // journal_check() of that record
  bool operator==(const JournalEnd&) const = default;
};

class Witness {
 public:
  static Result<Witness> open(const std::string& state_dir);
  Status write(const JournalEnd& end);

 private:
  Witness(File file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  File file_;
  std::string path_;
};

// None: there is no such file, or (kCorrupt) what it says is damaged, so it says nothing.
Result<std::optional<JournalEnd>> read_witness(const std::string& state_dir);

}  // namespace modelhop
