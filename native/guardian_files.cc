#include "guardian_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace dfs {

UniqueFd TakeLock(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0 || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return UniqueFd();
  return fd;
}

bool IsLocked(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return false;
  return flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
}

pid_t ReadPid(const std::string& path) {
  const long pid = strtol(ReadStart(path).c_str(), nullptr, 10);
  return pid > 0 ? static_cast<pid_t>(pid) : 0;
}

std::string ReadStart(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t length = fd.get() < 0 ? 0 : read(fd.get(), text, sizeof(text));
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

void WriteWhole(const std::string& path, const std::string& text) {
  const std::string next = path + ".new";
  const UniqueFd fd(open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  const ssize_t length = static_cast<ssize_t>(text.size());
  const bool written = fd.get() >= 0 && write(fd.get(), text.data(), text.size()) == length;
  if (!written || rename(next.c_str(), path.c_str()) != 0) {
    Log("warn", "cannot write " + path);
  }
}

void Log(const char* level, const std::string& message, const std::string& role) {
  const std::string about = role.empty() ? "" : ",\"role\":\"" + role + "\"";
  dprintf(STDERR_FILENO,
          "{\"time\":\"%s\",\"level\":\"%s\",\"component\":\"guardian\",\"message\":\"%s\"%s}\n",
          NowText().c_str(), level, message.c_str(), about.c_str());
}

long long BootMs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<long long>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

std::string NowText() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char text[64];
  const size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + length, sizeof(text) - length, ".%03ldZ", now.tv_nsec / 1'000'000);
  return text;
}

}  // namespace dfs
