#pragma once
// Watch: follows one experiment to its end, as a live view on a terminal and as plain lines elsewhere.
#include <cstdio>
#include <string>

#include "cli/backend.h"
#include "cli/view.h"

namespace modelhop::cli {

// Ctrl-C and SIGTERM, counted. One per process; the first call of count() after install() is 0.
class Interrupts {
 public:
  static void install();
  static int count();
};

bool wants_color(std::FILE* out);  // a terminal, and NO_COLOR is not set

Result<Snapshot> take_snapshot(Backend& backend, const std::string& experiment, std::size_t trials_max);

// LiveScreen: redraws lines in place with one write a frame, so nothing flickers; a new width is met at the next frame.
class LiveScreen {
 public:
  explicit LiveScreen(std::FILE* out) : out_(out) {}
  ~LiveScreen() { leave(); }
  ViewStyle style() const;
  void draw(const std::vector<std::string>& lines);
  void leave();  // the last frame stays; the cursor comes back

 private:
  std::FILE* out_;
  std::vector<std::size_t> widths_;  // of the lines now on the screen
  bool hidden_{};
};

class Watch {
 public:
  // `after`: records up to this seq are not told as lines.
  Watch(Backend& backend, const Json& experiment, std::uint64_t after, std::FILE* out, bool live_view);
  // Waits at most `timeout_ms`, shows what happened. True: the experiment has ended. `note`: the live view's last line.
  Result<bool> step(std::uint32_t timeout_ms, const std::string& note = "");
  void finish();  // the last frame
  // As it was at the last look.
  const Json& experiment() const { return experiment_; }

 private:
  Result<bool> look(const std::string& note);
  Backend& backend_;
  Json experiment_;
  ExperimentId id_;
  std::uint64_t after_;
  std::FILE* out_;
  const bool live_view_;
  LiveScreen screen_;
  Instant looked_;
  bool ended_{};
};

bool has_ended(const Json& experiment);
// 0 for COMPLETED and STOPPED, else 1.
int exit_of(const Json& experiment);

}  // namespace modelhop::cli
