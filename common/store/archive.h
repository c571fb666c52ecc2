#pragma once
// STATE/archive/<from>-<to>.db: records that left journal.db, in the same tables, so that what is read at every start
// stays small. A segment is complete and durable before its records leave; what is in both is read from the segment.
// Format: docs/formats.md, "Archive". Threads: one writer.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/store/sqlite.h"
#include "common/store/witness.h"

namespace modelhop {

struct Segment {
  std::uint64_t from{}, to{};
  std::string path;
};
// By `from`; other names in the folder are passed over.
std::vector<Segment> list_segments(const std::string& state_dir);

// Writes the records of journal.db up to `to` that no segment has into a new one. Returns the last record archived:
// Journal::leave_until() may let go of all up to it. kCorrupt: a record is not what was written; nothing is changed.
Result<JournalEnd> archive_until(const std::string& state_dir, std::uint64_t to);
// The records of deleted experiments leave the segments that have any and whose records have left journal.db.
Status drop_experiments(const std::string& state_dir, const std::set<ExperimentId>& deleted);
// Removes the oldest whole segments while the others still hold `records_kept`.
Status trim_archive(const std::string& state_dir, std::uint64_t records_kept);

// journal.db and the archive before it, read as one sequence.
class JournalSequence {
 public:
  // kNotFound: there is no journal.
  static Result<JournalSequence> open(const std::string& state_dir);

  // Between the two, what is read is one moment's. The archive is looked at where `whole`, or once it is needed: what
  // journal.db is said to hold need not be looked for elsewhere, unless it may be damaged.
  Status begin(bool whole = true);
  void end();
  std::uint64_t left() const { return base_.seq; }  // the last record that has left journal.db

  std::uint64_t first();  // the oldest record that is kept, and all after it up to the end
  struct Row {
    std::uint64_t seq{}, at{}, experiment{}, version{};
    std::string_view type, body;
    std::span<const std::uint8_t> check;
  };
  // Rows with seq > after, in order, of one experiment or (0) of all, while `visit` says true.
  Status walk(std::uint64_t after, ExperimentId experiment, const std::function<Result<bool>(const Row&)>& visit);
  Result<std::optional<ContentHash>> check_of(std::uint64_t seq);  // as stored; none: the record is not here
  Result<JournalEnd> last();

 private:
  JournalSequence(std::string state_dir, Database database)
      : state_dir_(std::move(state_dir)), journal_(std::move(database)) {}
  Result<Database*> open_segment(const Segment& segment);
  const std::vector<Segment>& segments();

  std::string state_dir_;
  Database journal_;
  JournalEnd base_;  // what left journal.db
  bool whole_ = true;
  std::optional<std::vector<Segment>> segments_;  // of this moment, once listed
  std::string opened_path_;
  std::unique_ptr<Database> opened_;  // the segment that was read last
};

}  // namespace modelhop
