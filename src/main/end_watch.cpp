#include "main/end_watch.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "hadal/base/check.h"

namespace hadal {
namespace {

sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

EndWatch::EndWatch() {
  const sigset_t set = end_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  failures_ = eventfd(0, EFD_CLOEXEC);
  HADAL_CHECK(signals_ >= 0 && failures_ >= 0, "signalfd or eventfd: errno {}", errno);
}

EndWatch::~EndWatch() {
  ::close(signals_);
  ::close(failures_);
}

EndCause EndWatch::wait() {
  std::array<pollfd, 2> waiting = {
      {{.fd = failures_, .events = POLLIN}, {.fd = signals_, .events = POLLIN}}};
  while (::poll(waiting.data(), waiting.size(), -1) < 0) {
    HADAL_CHECK(errno == EINTR, "poll: errno {}", errno);
  }
  if (waiting[0].revents != 0) return EndCause::kFailure;
  // Taken, so that let_signals_kill() meets only later ones.
  signalfd_siginfo info{};
  const ssize_t got = ::read(signals_, &info, sizeof(info));
  HADAL_CHECK(got == sizeof(info), "a signalfd gave {} bytes", got);
  return EndCause::kSignal;
}

void EndWatch::report_failure() {
  const uint64_t one = 1;
  const ssize_t put = ::write(failures_, &one, sizeof(one));
  HADAL_CHECK(put == sizeof(one), "an eventfd took {} bytes", put);
}

void EndWatch::let_signals_kill() {
  const sigset_t set = end_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace hadal
