#include "mount_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <vector>

namespace dfs {
namespace {

constexpr const char* kHelper = "fusermount3";
// Where the helper finds its end of the socket; named to it in _FUSE_COMMFD.
constexpr int kHelperSocket = 3;
constexpr size_t kDetailBytesMax = 2048;

constexpr int kErrnoMax = 133;

struct FlagName {
  unsigned long flag;
  const char* name;
};
// nosuid and nodev are what the helper always sets.
constexpr std::array<FlagName, 6> kHelperFlags{{{MS_RDONLY, "ro"},
                                                {MS_NOEXEC, "noexec"},
                                                {MS_NOATIME, "noatime"},
                                                {MS_SYNCHRONOUS, "sync"},
                                                {MS_NOSUID, "nosuid"},
                                                {MS_NODEV, "nodev"}}};

// A running helper; waits for it when it goes out of scope, so that no zombie stays.
class Helper {
 public:
  // `socket`: the descriptor it gets as kHelperSocket, or -1.
  static MountFailure Start(std::vector<std::string> arguments, int socket, Helper& helper);
  Helper() = default;
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper() { Wait(); }

  // What it writes to standard error, until it ends.
  std::string ReadMessages();
  // @returns the wait status, or 0 when somebody else collected it
  int Wait();

 private:
  pid_t pid_ = -1;
  UniqueFd messages_;
};

// The helper's messages end in the system's text for what went wrong.
int ErrnoOf(std::string_view message) {
  for (int error = 1; error <= kErrnoMax; ++error) {
    if (message.ends_with(std::string(": ") + strerror(error))) return error;
  }
  if (message.find("not found in /etc/mtab") != std::string_view::npos) return EINVAL;
  return EPERM;
}

MountFailure HelperFailure(std::string message) {
  while (!message.empty() && message.back() == '\n') message.pop_back();
  if (message.empty()) message = "fusermount3 failed without saying why";
  return {ErrnoOf(message), kHelper, std::move(message)};
}

MountFailure Failure(int error, const char* syscall) { return {error, syscall, {}}; }

std::vector<std::string> HelperEnvironment() {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("_FUSE_COMMFD=")) result.emplace_back(*entry);
  }
  result.push_back("_FUSE_COMMFD=" + std::to_string(kHelperSocket));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

int Spawn(std::vector<std::string> arguments, int socket, int messages, pid_t* pid) {
  std::vector<std::string> environment = HelperEnvironment();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // dup2 clears close-on-exec, also onto the same number. Messages first: `messages` may be 3.
  posix_spawn_file_actions_adddup2(&actions, messages, STDERR_FILENO);
  if (socket >= 0) posix_spawn_file_actions_adddup2(&actions, socket, kHelperSocket);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawnp(pid, kHelper, &actions, &attributes, Pointers(arguments).data(),
                                 Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

MountFailure Helper::Start(std::vector<std::string> arguments, int socket, Helper& helper) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Failure(errno, "pipe2");
  helper.messages_ = UniqueFd(ends[0]);
  const UniqueFd write_end(ends[1]);
  const int error = Spawn(std::move(arguments), socket, write_end.get(), &helper.pid_);
  if (error == 0) return {};
  helper.pid_ = -1;
  if (error == ENOENT) {
    return {ENOENT, kHelper, "fusermount3 is not installed (Debian package fuse3)"};
  }
  return Failure(error, kHelper);
}

std::string Helper::ReadMessages() {
  std::string text;
  std::array<char, 512> buffer;
  for (;;) {
    const ssize_t count = read(messages_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    if (text.size() < kDetailBytesMax) text.append(buffer.data(), static_cast<size_t>(count));
  }
}

int Helper::Wait() {
  messages_.Close();
  const pid_t pid = std::exchange(pid_, -1);
  int status = 0;
  while (pid > 0 && waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 0;
  }
  return status;
}

// One byte with the descriptor attached; end of file when the helper gave up.
UniqueFd ReceiveFd(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t count = 0;
  do {
    count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  const cmsghdr* header = count > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return UniqueFd();
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

// A comma or backslash inside one option, as the helper wants it.
std::string Escaped(std::string_view value) {
  std::string result;
  for (const char character : value) {
    if (character == ',' || character == '\\') result += '\\';
    result += character;
  }
  return result;
}

// `auto_unmount` keeps the helper running for the life of the mount: not something to wait for.
bool HasOption(std::string_view options, std::string_view name) {
  while (!options.empty()) {
    const size_t comma = options.find(',');
    if (options.substr(0, comma) == name) return true;
    options.remove_prefix(comma == std::string_view::npos ? options.size() : comma + 1);
  }
  return false;
}

MountFailure MountThroughHelper(const MountRequest& request, UniqueFd& fd) {
  std::string options =
      "fsname=" + Escaped(request.source) + ",subtype=" + Escaped(request.subtype);
  unsigned long unknown = request.flags;
  for (const FlagName& entry : kHelperFlags) {
    if ((request.flags & entry.flag) != 0) options += std::string(",") + entry.name;
    unknown &= ~entry.flag;
  }
  if (unknown != 0 || HasOption(request.options, "auto_unmount")) return Failure(EINVAL, kHelper);
  if (!request.options.empty()) options += "," + request.options;

  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Failure(errno, "socketpair");
  }
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  Helper helper;
  const MountFailure failure = Helper::Start({kHelper, "-o", options, "--", request.mountpoint},
                                             theirs.get(), helper);
  if (failure.error != 0) return failure;
  // From here only the helper holds the other end: its exit is our end of file.
  theirs.Close();
  fd = ReceiveFd(ours.get());
  return fd.get() >= 0 ? MountFailure{} : HelperFailure(helper.ReadMessages());
}

MountFailure MountAsRoot(const MountRequest& request, UniqueFd& fd) {
  UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device.get() < 0) return {errno, "open", std::string("/dev/fuse: ") + strerror(errno)};
  // rootmode is the file type of the mountpoint, octal: a directory.
  std::string data = "fd=" + std::to_string(device.get()) + ",rootmode=40000,user_id=" +
                     std::to_string(geteuid()) + ",group_id=" + std::to_string(getegid());
  if (!request.options.empty()) data += "," + request.options;
  const std::string type = "fuse." + request.subtype;
  if (mount(request.source.c_str(), request.mountpoint.c_str(), type.c_str(), request.flags,
            data.c_str()) != 0) {
    return Failure(errno, "mount");
  }
  fd = std::move(device);
  return {};
}

MountFailure UnmountThroughHelper(const std::string& mountpoint, int flags) {
  if ((flags & ~MNT_DETACH) != 0) return Failure(EPERM, kHelper);
  std::vector<std::string> arguments{kHelper, "-u"};
  if ((flags & MNT_DETACH) != 0) arguments.push_back("-z");
  arguments.push_back("--");
  arguments.push_back(mountpoint);
  Helper helper;
  const MountFailure failure = Helper::Start(std::move(arguments), -1, helper);
  if (failure.error != 0) return failure;
  std::string messages = helper.ReadMessages();
  return helper.Wait() == 0 ? MountFailure{} : HelperFailure(std::move(messages));
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  const int old = std::exchange(fd_, other.Release());
  if (old >= 0) close(old);
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) close(fd_);
}

MountFailure MountFuse(const MountRequest& request, UniqueFd& fd) {
  return geteuid() == 0 ? MountAsRoot(request, fd) : MountThroughHelper(request, fd);
}

MountFailure UnmountFuse(const std::string& mountpoint, int flags) {
  if (geteuid() != 0) return UnmountThroughHelper(mountpoint, flags);
  if (umount2(mountpoint.c_str(), flags | UMOUNT_NOFOLLOW) != 0) return Failure(errno, "umount2");
  return {};
}

}  // namespace dfs
