// Mounting and unmounting a FUSE filesystem without libfuse, pure: no Node-API in here, so that
// another program of this repository can use it.
//
// Root opens /dev/fuse and calls mount(2) itself; anybody else goes through the setuid helper
// fusermount3, which hands the descriptor back over a socket. Everything blocks the caller; a
// thread that serves a mount must not unmount it here.
#ifndef DFS_NATIVE_MOUNT_CALLS_H_
#define DFS_NATIVE_MOUNT_CALLS_H_

#include <string>
#include <utility>

namespace dfs {

// Owns a descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Close() { *this = UniqueFd(); }

 private:
  int fd_ = -1;
};

struct MountRequest {
  std::string mountpoint;
  std::string source;
  std::string subtype;
  unsigned long flags;  // MS_*
  std::string options;  // without fd, rootmode, user_id and group_id
};

// error 0: it worked.
struct MountFailure {
  int error = 0;
  const char* syscall = "";
  // What the helper said; empty when the system's own text for `error` says it all.
  std::string detail;
};

// @returns the failure, or the open descriptor in `fd`, close-on-exec; nothing leaks either way
MountFailure MountFuse(const MountRequest& request, UniqueFd& fd);

// `flags`: MNT_*. Never follows a symbolic link.
MountFailure UnmountFuse(const std::string& mountpoint, int flags);

}  // namespace dfs

#endif  // DFS_NATIVE_MOUNT_CALLS_H_
