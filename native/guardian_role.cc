#include "guardian_role.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "guardian_files.h"

namespace dfs {
namespace {

constexpr long long kBackoffMsMin = 100;
constexpr long long kBackoffMsMax = 10'000;
// Who has lived so long is not on its way down any more.
constexpr long long kStableMs = 60'000;
constexpr int kSignals = 64;

UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// In the child: nothing of the guardian is left to it but its environment.
[[noreturn]] void Become(const RolePlan& plan) {
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < kSignals; ++number) signal(number, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY);
  const int log = open(plan.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (null >= 0) dup2(null, STDIN_FILENO);
  if (log >= 0) {
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
  }
  close_range(STDERR_FILENO + 1, ~0U, 0);
  if (chdir("/") != 0) _exit(127);
  setenv("UV_THREADPOOL_SIZE", "16", 0);
  unsetenv("DFS_READY_FD");
  std::vector<char*> arguments;
  for (const std::string& part : plan.command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

void Role::Turn() {
  if (state_ == State::kWaiting && BootMs() >= due_ms_) Start();
  if (WatchedProcessLives()) {
    if (state_ == State::kStarting && IsLocked(plan_.lock_path) &&
        ReadPid(plan_.pid_path) == pid_) {
      state_ = State::kUp;
      up_since_ms_ = BootMs();
    }
    return;
  }
  if (state_ == State::kUp || state_ == State::kStarting) Gone();
  Adopt();
}

bool Role::WatchedProcessLives() const {
  if (pidfd_.get() < 0) return false;
  pollfd ended{pidfd_.get(), POLLIN, 0};
  return poll(&ended, 1, 0) == 0;
}

// Somebody else may have started it: `dfs mount`, or a guardian before this one.
void Role::Adopt() {
  if (!IsLocked(plan_.lock_path)) {
    // Left behind by a process that nobody watched.
    if (state_ == State::kEnded && Exists(plan_.pid_path)) Crashed();
    return;
  }
  const pid_t pid = ReadPid(plan_.pid_path);
  if (pid == 0) return;
  UniqueFd pidfd = OpenPidfd(pid);
  // The pid may be an old one, of a process that the lock does not belong to.
  if (pidfd.get() < 0 || !IsLocked(plan_.lock_path) || ReadPid(plan_.pid_path) != pid) return;
  pidfd_ = std::move(pidfd);
  pid_ = pid;
  is_child_ = false;
  state_ = State::kUp;
  up_since_ms_ = BootMs();
  Log("info", "watching over pid " + std::to_string(pid), plan_.name);
}

void Role::Gone() {
  pidfd_.Close();
  const bool good = is_child_ ? WIFEXITED(exit_status_) && WEXITSTATUS(exit_status_) == 0
                              : !Exists(plan_.pid_path);
  if (good) {
    state_ = State::kEnded;
    backoff_ms_ = 0;
    Log("info", "ended in good order", plan_.name);
    return;
  }
  Crashed();
}

void Role::Crashed() {
  const bool stable = state_ == State::kUp && BootMs() - up_since_ms_ >= kStableMs;
  const bool first = backoff_ms_ == 0 || stable;
  backoff_ms_ = first ? kBackoffMsMin : std::min(backoff_ms_ * 2, kBackoffMsMax);
  due_ms_ = BootMs() + backoff_ms_;
  state_ = State::kWaiting;
  Log("warn", "it is gone, and is started again in " + std::to_string(backoff_ms_) + " ms",
      plan_.name);
}

void Role::Start() {
  if (IsLocked(plan_.lock_path)) {
    // Somebody was quicker.
    state_ = State::kEnded;
    return;
  }
  unlink(plan_.pid_path.c_str());
  const pid_t pid = fork();
  if (pid == 0) Become(plan_);
  if (pid < 0) {
    Crashed();
    return;
  }
  pid_ = pid;
  pidfd_ = OpenPidfd(pid);
  is_child_ = true;
  exit_status_ = -1;
  state_ = State::kStarting;
  restarts_ += 1;
  last_restart_ = NowText();
  Log("info", "started pid " + std::to_string(pid), plan_.name);
}

void Role::Reaped(pid_t pid, int status) {
  if (is_child_ && pid == pid_) exit_status_ = status;
}

void Role::StandDown() {
  if (state_ == State::kStarting && WatchedProcessLives()) kill(pid_, SIGTERM);
}

std::string Role::Json() const {
  static const char* const kNames[] = {"ended", "up", "starting", "waiting"};
  const std::string last = last_restart_.empty() ? "null" : "\"" + last_restart_ + "\"";
  return "\"" + plan_.name + "\":{\"state\":\"" + kNames[static_cast<int>(state_)] +
         "\",\"restarts\":" + std::to_string(restarts_) + ",\"lastRestart\":" + last +
         ",\"backoffMs\":" + std::to_string(backoff_ms_) + "}";
}

}  // namespace dfs
