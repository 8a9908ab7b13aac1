// dfs-guardian: starts the processes of one node again after a crash.
//
//   dfs-guardian STATE_DIR NODE MAIN_JS [--metaserver]
//
// It is started by `dfs mount` once everything serves, watches whatever runs by its lock and pid,
// and ends when nothing is left that should run. SIGTERM ends it alone: whoever sends that ends
// the rest. When it is killed, the others go on, and the next `dfs mount` starts another one.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "guardian_files.h"
#include "guardian_role.h"
#include "guardian_watch.h"

namespace {

using dfs::BootMs;
using dfs::Role;

// Roles that others start are noticed within this.
constexpr int kTurnMs = 500;

struct Arguments {
  std::string dir;
  std::string node;
  std::string main;
  bool metaserver = false;
};

dfs::RolePlan PlanOf(const Arguments& arguments, const std::string& name) {
  const bool is_node = name == "node";
  std::vector<std::string> command = {arguments.node, arguments.main,
                                      is_node ? "serve-node" : "metaserver"};
  if (is_node) command.push_back("--remount");
  command.insert(command.end(), {"--state", arguments.dir});
  return {name, arguments.dir + (is_node ? "/lock" : "/metaserver.lock"),
          arguments.dir + "/run/" + name + ".pid", arguments.dir + "/log/" + name + ".log",
          command};
}

dfs::UniqueFd WatchSignals() {
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&watched, number);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  return dfs::UniqueFd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
}

class Guardian {
 public:
  explicit Guardian(const Arguments& arguments)
      : report_path_(arguments.dir + "/run/guardian.json"),
        pid_path_(arguments.dir + "/run/guardian.pid"),
        signals_(WatchSignals()),
        timer_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)),
        caches_(arguments.dir + "/run/kernel-cache") {
    dfs::WriteWhole(pid_path_, std::to_string(getpid()) + "\n");
    // In this order they are started again.
    if (arguments.metaserver) roles_.emplace_back(PlanOf(arguments, "metaserver"));
    roles_.emplace_back(PlanOf(arguments, "node"));
  }

  void Run() {
    while (!stopped_) {
      for (Role& role : roles_) role.Turn();
      caches_.Turn(roles_.back().pid());
      Report();
      const bool idle =
          std::all_of(roles_.begin(), roles_.end(), [](const Role& role) { return role.Ended(); });
      if (idle) break;
      Wait();
      ReadSignals();
    }
    for (Role& role : roles_) role.StandDown();
    unlink(report_path_.c_str());
    unlink(pid_path_.c_str());
  }

 private:
  void Wait() {
    std::vector<pollfd> watched = {{signals_.get(), POLLIN, 0}, {timer_.get(), POLLIN, 0}};
    long long until_ms = BootMs() + kTurnMs;
    for (const Role& role : roles_) {
      if (role.watch_fd() >= 0) watched.push_back({role.watch_fd(), POLLIN, 0});
      if (role.due_ms() >= 0) until_ms = std::min(until_ms, role.due_ms());
    }
    if (caches_.due_ms() >= 0) until_ms = std::min(until_ms, caches_.due_ms());
    // The time that poll waits stands still while the machine sleeps.
    itimerspec due{};
    due.it_value = {until_ms / 1000, until_ms % 1000 * 1'000'000};
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &due, nullptr);
    poll(watched.data(), watched.size(), kTurnMs);
  }

  void ReadSignals() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) stopped_ = true;
    }
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
      for (Role& role : roles_) role.Reaped(pid, status);
    }
  }

  void Report() {
    std::string roles;
    for (const Role& role : roles_) roles += (roles.empty() ? "" : ",") + role.Json();
    const std::string text =
        "{\"pid\":" + std::to_string(getpid()) + ",\"roles\":{" + roles + "}}\n";
    if (text == reported_) return;
    dfs::WriteWhole(report_path_, text);
    reported_ = text;
  }

  const std::string report_path_;
  const std::string pid_path_;
  const dfs::UniqueFd signals_;
  const dfs::UniqueFd timer_;
  // The node is the last one.
  std::vector<Role> roles_;
  dfs::CacheWatch caches_;
  std::string reported_;
  bool stopped_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  // Whether this build runs here at all.
  if (argc == 2 && strcmp(argv[1], "--check") == 0) return 0;
  if (argc < 4) {
    dfs::Log("error", "usage: dfs-guardian STATE_DIR NODE MAIN_JS [--metaserver]");
    return 2;
  }
  Arguments arguments{argv[1], argv[2], argv[3]};
  for (int at = 4; at < argc; ++at) arguments.metaserver |= strcmp(argv[at], "--metaserver") == 0;
  const dfs::UniqueFd lock = dfs::TakeLock(arguments.dir + "/guardian.lock");
  if (lock.get() < 0) {
    dfs::Log("info", "another guardian is here");
    return 0;
  }
  if (chdir("/") != 0) return 1;
  Guardian(arguments).Run();
  dfs::Log("info", "nothing is left to watch over");
  return 0;
}
