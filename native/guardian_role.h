// One process the guardian watches over. A role that ended in good order has removed its pid file
// (or exited with 0, where the guardian started it); any other end is a crash, and it is started
// again, at growing intervals while it keeps ending.
#ifndef DFS_NATIVE_GUARDIAN_ROLE_H_
#define DFS_NATIVE_GUARDIAN_ROLE_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "mount_calls.h"

namespace dfs {

struct RolePlan {
  std::string name;                   // node, metaserver
  std::string lock_path;              // held by the process of the role while it lives
  std::string pid_path;               // written after the lock is taken
  std::string log_path;               // what it says goes there
  std::vector<std::string> command;   // starts it again
};

class Role {
 public:
  explicit Role(RolePlan plan) : plan_(std::move(plan)) {}

  // Looks at what runs, and starts what should. Called whenever something may have changed.
  void Turn();
  // A child ended; noted when it was this role's.
  void Reaped(pid_t pid, int status);
  // Takes back a start that has not got as far as serving.
  void StandDown();

  // Of the process that runs, 0 when none does.
  pid_t pid() const { return WatchedProcessLives() ? pid_ : 0; }
  bool Ended() const { return state_ == State::kEnded; }
  // Readable when the process ends; -1 while none is watched.
  int watch_fd() const { return pidfd_.get(); }
  // Boot milliseconds of the next start; -1 when none is due.
  long long due_ms() const { return state_ == State::kWaiting ? due_ms_ : -1; }
  std::string Json() const;

 private:
  enum class State { kEnded, kUp, kStarting, kWaiting };

  void Adopt();
  void Gone();
  void Crashed();
  void Start();
  bool WatchedProcessLives() const;

  RolePlan plan_;
  State state_ = State::kEnded;
  UniqueFd pidfd_;
  pid_t pid_ = 0;
  bool is_child_ = false;
  int exit_status_ = -1;  // of a child that was reaped
  long long up_since_ms_ = 0;
  long long due_ms_ = 0;
  long long backoff_ms_ = 0;
  int restarts_ = 0;
  std::string last_restart_;
};

}  // namespace dfs

#endif  // DFS_NATIVE_GUARDIAN_ROLE_H_
