#include "fuse_abort.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "mount_calls.h"

namespace dfs {
namespace {

constexpr char kControls[] = "/sys/fs/fuse/connections/";
// FSCONFIG_CMD_CREATE, and a flag that fsopen(2) and fsmount(2) have in common.
constexpr unsigned kCreate = 6;
constexpr unsigned kCloseOnExec = 1;

bool IsConnected(int fd) {
  pollfd ended{fd, 0, 0};
  return poll(&ended, 1, 0) == 0;
}

// Its number in the control filesystem; empty when this kernel does not tell.
std::string ConnectionOf(int fd) {
  const std::string path = "/proc/self/fdinfo/" + std::to_string(fd);
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t length = file.get() < 0 ? 0 : read(file.get(), text, sizeof(text));
  const std::string info(text, length > 0 ? static_cast<size_t>(length) : 0);
  const std::string key = "\nfuse_connection:\t";
  const size_t at = info.find(key);
  if (at == std::string::npos) return "";
  const size_t from = at + key.size();
  return info.substr(from, info.find('\n', from) - from);
}

// Not every machine has it mounted; root needs no mount of it.
UniqueFd OpenControls() {
  const UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "fusectl", kCloseOnExec)));
  if (syscall(SYS_fsconfig, context.get(), kCreate, nullptr, nullptr, 0) != 0) return {};
  return UniqueFd(static_cast<int>(syscall(SYS_fsmount, context.get(), kCloseOnExec, 0)));
}

}  // namespace

bool AbortFuse(int fd) {
  // The number of one that has ended may be another one's now.
  if (!IsConnected(fd)) return true;
  const std::string connection = ConnectionOf(fd);
  if (connection.empty()) return false;
  const std::string name = connection + "/abort";
  UniqueFd abort(open((kControls + name).c_str(), O_WRONLY | O_CLOEXEC));
  if (abort.get() < 0) {
    abort = UniqueFd(openat(OpenControls().get(), name.c_str(), O_WRONLY | O_CLOEXEC));
  }
  return abort.get() >= 0 && write(abort.get(), "1", 1) == 1;
}

}  // namespace dfs
