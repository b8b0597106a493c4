// What ends a server: SIGTERM or SIGINT, or a failure of the engine.
#pragma once

namespace hadal {

enum class EndCause { kSignal, kFailure };

// Threads: report_failure() by any, the rest by the one that made it.
class EndWatch {
 public:
  // Blocks the two signals in this thread and in those it starts from now on.
  EndWatch();
  ~EndWatch();
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;

  // Waits for the first cause.
  EndCause wait();

  // For whoever finds that nothing more can be served.
  void report_failure();

  // From now on a signal ends the process at once: the second SIGTERM of an impatient operator.
  void let_signals_kill();

 private:
  int signals_;   // a signalfd
  int failures_;  // an eventfd
};

}  // namespace hadal
