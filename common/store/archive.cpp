#include "common/store/archive.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <limits>

#include "common/store/file_system.h"
#include "common/store/journal_format.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

std::string archive_path(const std::string& state_dir) { return state_dir + "/archive"; }
std::string segment_temp_path(const std::string& state_dir) { return archive_path(state_dir) + "/.segment.new"; }

bool parse_segment(const std::string& name, Segment& out) {
  const char* end = name.data() + name.size();
  const auto from = std::from_chars(name.data(), end, out.from);
  if (from.ec != std::errc() || from.ptr == end || *from.ptr != '-') return false;
  const auto to = std::from_chars(from.ptr + 1, end, out.to);
  return to.ec == std::errc() && std::string_view(to.ptr, static_cast<std::size_t>(end - to.ptr)) == ".db" &&
         out.from > 0 && out.from <= out.to;
}

// Writes `fill`'s rows into a database of its own and gives it the segment's name.
Status write_segment(const std::string& state_dir, std::uint64_t from, std::uint64_t to,
                     const std::function<Status(Database&)>& fill) {
  RETURN_IF_ERROR(make_folders(archive_path(state_dir)));
  const std::string temp = segment_temp_path(state_dir);
  const std::string path = archive_path(state_dir) + "/" + std::to_string(from) + "-" + std::to_string(to) + ".db";
  for (const char* suffix : {"", "-journal"}) file_system().unlink(temp + suffix);
  {
    ASSIGN_OR_RETURN(Database database, Database::open(temp, Database::Mode::kCreate));
    RETURN_IF_ERROR(database.run("PRAGMA synchronous=FULL"));
    RETURN_IF_ERROR(database.run("BEGIN IMMEDIATE"));
    RETURN_IF_ERROR(create_journal_tables(database));
    RETURN_IF_ERROR(fill(database));
    RETURN_IF_ERROR(database.run("COMMIT"));
  }
  {
    const File file(file_system().open(temp, O_RDONLY | O_CLOEXEC));
    if (file.get() < 0 || file_system().fsync(file.get()) != 0) return file_error(temp, "cannot be synced");
  }
  if (file_system().rename(temp, path) != 0) return file_error(path, "cannot be named");
  return sync_folder(archive_path(state_dir));
}

Status insert(Statement& into, const JournalSequence::Row& row) {
  into.bind(1, row.seq);
  into.bind(2, row.at);
  into.bind(3, row.type);
  into.bind(4, row.version);
  into.bind(5, row.experiment);
  into.bind(6, row.body);
  into.bind(7, row.check);
  ASSIGN_OR_RETURN(const bool answered, into.step());
  into.reset();
  return answered ? environment("SQLite answered an insertion with a row") : Status();
}

Result<Database> open_segment_file(const std::string& path) {
  ASSIGN_OR_RETURN(Database database, Database::open(path, Database::Mode::kRead));
  RETURN_IF_ERROR(verify_journal_header(database, path));
  return database;
}

constexpr const char* kColumns = "SELECT seq, at, experiment, version, type, body, hash FROM records";

JournalSequence::Row row_of(const Statement& row) {
  return {row.integer(0), row.integer(1), row.integer(2), row.integer(3), row.text(4), row.text(5), row.blob(6)};
}

bool set_hash(std::span<const std::uint8_t> bytes, ContentHash& hash) {
  if (bytes.size() != hash.bytes.size()) return false;
  std::copy(bytes.begin(), bytes.end(), hash.bytes.begin());
  return true;
}

}  // namespace

std::vector<Segment> list_segments(const std::string& state_dir) {
  std::vector<Segment> segments;
  std::error_code error;
  for (fs::directory_iterator entry(archive_path(state_dir), error), end; !error && entry != end;
       entry.increment(error)) {
    Segment segment;
    if (!parse_segment(entry->path().filename().string(), segment)) continue;
    segment.path = entry->path().string();
    segments.push_back(std::move(segment));
  }
  std::sort(segments.begin(), segments.end(), [](const Segment& a, const Segment& b) { return a.from < b.from; });
  return segments;
}

Result<JournalEnd> archive_until(const std::string& state_dir, std::uint64_t to) {
  ASSIGN_OR_RETURN(JournalSequence sequence, JournalSequence::open(state_dir));
  RETURN_IF_ERROR(sequence.begin());
  const std::vector<Segment> segments = list_segments(state_dir);
  JournalEnd end{segments.empty() ? sequence.first() - 1 : segments.back().to, {}};
  ASSIGN_OR_RETURN(const auto stored, sequence.check_of(end.seq));
  if (!stored && end.seq > 0) return corrupt(state_dir + ": record " + std::to_string(end.seq) + " is missing");
  if (stored) end.check = *stored;
  if (end.seq >= to) return end;
  const auto fill = [&](Database& database) -> Status {
    RETURN_IF_ERROR(write_base(database, end));
    ASSIGN_OR_RETURN(Statement into, database.prepare(kInsertRecord));
    const auto copy = [&](const JournalSequence::Row& row) -> Result<bool> {
      if (row.seq > to) return false;
      RETURN_IF_ERROR(
          verify_row(row.seq, {static_cast<std::int64_t>(row.at)}, row.type, row.version, row.body, row.check, end));
      RETURN_IF_ERROR(insert(into, row));
      return true;
    };
    RETURN_IF_ERROR(sequence.walk(end.seq, {}, copy));
    if (end.seq != to) return corrupt("record " + std::to_string(end.seq + 1) + " is missing");
    return {};
  };
  const std::uint64_t from = end.seq + 1;
  if (Status status = write_segment(state_dir, from, to, fill); !status.ok()) {
    file_system().unlink(segment_temp_path(state_dir));
    return Status(status.code(), state_dir + ": cannot archive: " + status.message());
  }
  return end;
}

Status drop_experiments(const std::string& state_dir, const std::set<ExperimentId>& deleted) {
  if (deleted.empty()) return {};
  ASSIGN_OR_RETURN(Database journal, open_segment_file(journal_path(state_dir)));
  ASSIGN_OR_RETURN(const JournalEnd left, read_base(journal, journal_path(state_dir)));
  for (const Segment& segment : list_segments(state_dir)) {
    if (segment.to > left.seq) break;
    ASSIGN_OR_RETURN(Database old, open_segment_file(segment.path));
    bool has_any = false;
    for (const ExperimentId id : deleted) {
      ASSIGN_OR_RETURN(
          const std::uint64_t rows,
          old.number("SELECT EXISTS (SELECT 1 FROM records WHERE experiment = " + std::to_string(id.value) + ")"));
      has_any |= rows != 0;
    }
    if (!has_any) continue;
    const auto fill = [&](Database& database) -> Status {
      ASSIGN_OR_RETURN(const JournalEnd base, read_base(old, segment.path));
      RETURN_IF_ERROR(write_base(database, base));
      ASSIGN_OR_RETURN(Statement into, database.prepare(kInsertRecord));
      ASSIGN_OR_RETURN(Statement rows, old.prepare(std::string(kColumns) + " ORDER BY seq"));
      for (;;) {
        ASSIGN_OR_RETURN(const bool there, rows.step());
        if (!there) return {};
        const JournalSequence::Row row = row_of(rows);
        if (!deleted.contains({row.experiment})) RETURN_IF_ERROR(insert(into, row));
      }
    };
    RETURN_IF_ERROR(write_segment(state_dir, segment.from, segment.to, fill));
  }
  return {};
}

Status trim_archive(const std::string& state_dir, std::uint64_t records_kept) {
  const std::vector<Segment> segments = list_segments(state_dir);
  std::uint64_t records = 0;
  for (const Segment& segment : segments) records += segment.to - segment.from + 1;
  for (const Segment& segment : segments) {
    records -= segment.to - segment.from + 1;
    if (records < records_kept) break;
    if (file_system().unlink(segment.path) != 0) return file_error(segment.path, "cannot be removed");
  }
  return {};
}

Result<JournalSequence> JournalSequence::open(const std::string& state_dir) {
  const std::string path = journal_path(state_dir);
  std::error_code error;
  if (!fs::exists(path, error)) {
    return not_found(state_dir + ": holds no journal.db; is it a scheduler's --state-dir?");
  }
  ASSIGN_OR_RETURN(Database database, open_segment_file(path));
  JournalSequence sequence(state_dir, std::move(database));
  RETURN_IF_ERROR(sequence.begin());
  sequence.end();
  return sequence;
}

// The journal first: what leaves it after that is in a segment which is listed here, and is still seen in it too.
Status JournalSequence::begin(bool whole) {
  RETURN_IF_ERROR(journal_.run("BEGIN"));
  Result<JournalEnd> base = read_base(journal_, journal_path(state_dir_));
  if (!base.ok()) {
    end();
    return base.status();
  }
  base_ = *base;
  whole_ = whole;
  segments_.reset();
  return {};
}

void JournalSequence::end() { (void)journal_.run("ROLLBACK"); }

const std::vector<Segment>& JournalSequence::segments() {
  if (!segments_) segments_ = list_segments(state_dir_);
  return *segments_;
}

std::uint64_t JournalSequence::first() {
  std::uint64_t first = base_.seq + 1;
  for (auto segment = segments().rbegin(); segment != segments().rend(); ++segment) {
    if (segment->to + 1 < first) break;  // what is older stands alone
    first = std::min(first, segment->from);
  }
  return first;
}

Result<Database*> JournalSequence::open_segment(const Segment& segment) {
  if (opened_path_ != segment.path || opened_ == nullptr) {
    opened_.reset();
    ASSIGN_OR_RETURN(Database database, open_segment_file(segment.path));
    opened_ = std::make_unique<Database>(std::move(database));
    opened_path_ = segment.path;
  }
  return opened_.get();
}

Status JournalSequence::walk(std::uint64_t after, ExperimentId experiment,
                             const std::function<Result<bool>(const Row&)>& visit) {
  constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
  const std::string sql = std::string(kColumns) + " WHERE seq > ? AND seq <= ?" +
                          (experiment ? " AND experiment = ?" : "") + " ORDER BY seq";
  const auto walk_one = [&](Database& database, std::uint64_t to) -> Result<bool> {
    ASSIGN_OR_RETURN(Statement rows, database.prepare(sql));
    rows.bind(1, std::min(after, kLargest));
    rows.bind(2, to);
    if (experiment) rows.bind(3, std::min(experiment.value, kLargest));
    for (;;) {
      ASSIGN_OR_RETURN(const bool there, rows.step());
      if (!there) return true;
      const Row row = row_of(rows);
      ASSIGN_OR_RETURN(const bool more, visit(row));
      if (!more) return false;
    }
  };
  static const std::vector<Segment> kNone;
  for (const Segment& segment : whole_ || after < base_.seq ? segments() : kNone) {
    if (segment.to <= after) continue;
    ASSIGN_OR_RETURN(Database * database, open_segment(segment));
    ASSIGN_OR_RETURN(const bool more, walk_one(*database, segment.to));
    if (!more) return {};
    after = segment.to;
  }
  return walk_one(journal_, kLargest).status();
}

Result<std::optional<ContentHash>> JournalSequence::check_of(std::uint64_t seq) {
  std::optional<ContentHash> found;
  if (seq == 0) return found;
  if (seq == base_.seq) return std::optional(base_.check);
  RETURN_IF_ERROR(walk(seq - 1, {}, [&](const Row& row) -> Result<bool> {
    ContentHash hash;
    if (row.seq == seq && set_hash(row.check, hash)) found = hash;
    return false;
  }));
  return found;
}

Result<JournalEnd> JournalSequence::last() {
  JournalEnd end = base_;
  if (!segments().empty() && segments().back().to > end.seq) {
    ASSIGN_OR_RETURN(const auto check, check_of(segments().back().to));
    end = {segments().back().to, check.value_or(ContentHash{})};
  }
  ASSIGN_OR_RETURN(Statement newest, journal_.prepare("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1"));
  ASSIGN_OR_RETURN(const bool there, newest.step());
  if (there && newest.integer(0) > end.seq) {
    end.seq = newest.integer(0);
    if (!set_hash(newest.blob(1), end.check)) {
      return corrupt(journal_path(state_dir_) + ": record " + std::to_string(end.seq) + " has no hash");
    }
  }
  return end;
}

}  // namespace modelhop
