#include "cli/watch.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "cli/output.h"

namespace modelhop::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0;

void on_interrupt(int) { interrupts = interrupts + 1; }

constexpr std::int64_t kFrameNs = 250 * kMillisecond;
constexpr std::int64_t kLookNs = 1 * kSecond;  // elsewhere than on a terminal only the end is looked for

void write_all(std::FILE* out, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), out);
  std::fflush(out);
}

}  // namespace

void Interrupts::install() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int Interrupts::count() { return static_cast<int>(interrupts); }

bool wants_color(std::FILE* out) {
  const char* no_color = std::getenv("NO_COLOR");
  return isatty(fileno(out)) == 1 && (no_color == nullptr || *no_color == '\0');
}

Result<Snapshot> take_snapshot(Backend& backend, const std::string& experiment, std::size_t trials_max) {
  Snapshot out;
  out.now_ms = wall_now().value;
  const std::string path = experiment_path(experiment);
  ASSIGN_OR_RETURN(out.experiment, get(backend, path));
  ASSIGN_OR_RETURN(out.trials, get_all(backend, path + "/trials", {{"sort", "value"}}, trials_max));
  ASSIGN_OR_RETURN(out.bars,
                   get_all(backend, path + "/gantt", {{"from", std::to_string(out.now_ms - kGanttWindowMs)}}, 4000));
  ASSIGN_OR_RETURN(out.idle, get(backend, path + "/idle"));
  return out;
}

ViewStyle LiveScreen::style() const {
  winsize size{};
  ViewStyle out;
  if (ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    out.width = size.ws_col;
    out.height = size.ws_row;
  }
  out.color = wants_color(out_);
  return out;
}

void LiveScreen::draw(const std::vector<std::string>& lines) {
  // A terminal made narrower has wrapped the last frame: count what it occupies now.
  const std::size_t width = style().width;
  std::size_t up = 0;
  for (const std::size_t line : widths_) up += std::max<std::size_t>(1, (line + width - 1) / width);
  std::string frame = hidden_ ? "" : "\x1b[?25l";
  hidden_ = true;
  if (up > 0) frame += fmt::format("\x1b[{}A", up);
  frame += '\r';
  widths_.clear();
  for (const std::string& line : lines) {
    frame += line + "\x1b[K\r\n";
    widths_.push_back(display_width(line));
  }
  frame += "\x1b[J";
  write_all(out_, frame);
}

void LiveScreen::leave() {
  if (hidden_) write_all(out_, "\x1b[?25h");
  hidden_ = false;
  widths_.clear();
}

Watch::Watch(Backend& backend, const Json& experiment, std::uint64_t after, std::FILE* out, bool live_view)
    : backend_(backend), experiment_(experiment), after_(after), out_(out), live_view_(live_view), screen_(out) {
  parse(text_of(experiment, "id"), id_);
}

Result<bool> Watch::look(const std::string& note) {
  looked_ = monotonic_now();
  if (!live_view_) {
    ASSIGN_OR_RETURN(experiment_, get(backend_, experiment_path(to_string(id_))));
  } else {
    const ViewStyle style = screen_.style();
    ASSIGN_OR_RETURN(const Snapshot snapshot, take_snapshot(backend_, to_string(id_), style.height));
    experiment_ = snapshot.experiment;
    auto lines = render(snapshot, {style.width, style.height - (note.empty() ? 0 : 1), style.color});
    if (!note.empty()) lines.push_back(cut_to_width(note, style.width - 1));
    screen_.draw(lines);
  }
  ended_ = has_ended(experiment_);
  return ended_;
}

Result<bool> Watch::step(std::uint32_t timeout_ms, const std::string& note) {
  ASSIGN_OR_RETURN(const auto lines, backend_.follow(id_, after_, timeout_ms));
  bool changed = false;
  for (const RecordLine& line : lines) {
    after_ = line.seq;
    changed = changed || line.type == "experiment_state_changed";
    if (live_view_) continue;
    const auto record = parse_json(line.json, "record");
    if (!record.ok()) continue;
    if (const auto text = record_line(*record, experiment_)) write_all(out_, *text + "\n");
  }
  const std::int64_t since = monotonic_now() - looked_;
  if (changed || since >= (live_view_ ? kFrameNs : kLookNs)) return look(note);
  return ended_;
}

void Watch::finish() {
  if (live_view_) (void)look("");  // the frame before stays where this one fails
  screen_.leave();
}

bool has_ended(const Json& experiment) {
  const std::string state = text_of(experiment, "state");
  return state == "COMPLETED" || state == "STOPPED" || state == "CANCELED" || state == "FAILED" || state == "DELETED";
}

int exit_of(const Json& experiment) {
  const std::string state = text_of(experiment, "state");
  return state == "FAILED" || state == "CANCELED" ? 1 : 0;
}

}  // namespace modelhop::cli
