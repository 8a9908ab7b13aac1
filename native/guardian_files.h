// What the guardian reads and writes in the state folder: locks and pids of the roles, and what
// `dfs status` shows of supervision. All of it is small, and no failure of it is fatal.
#ifndef DFS_NATIVE_GUARDIAN_FILES_H_
#define DFS_NATIVE_GUARDIAN_FILES_H_

#include <sys/types.h>

#include <string>

#include "mount_calls.h"

namespace dfs {

// Holds the lock until the process ends; not valid when another process has it.
UniqueFd TakeLock(const std::string& path);

// A process holds an exclusive lock on the file.
bool IsLocked(const std::string& path);

// 0 when the file is missing or holds no pid.
pid_t ReadPid(const std::string& path);

bool Exists(const std::string& path);

// Of a small file; empty when it cannot be read.
std::string ReadStart(const std::string& path);

// By way of a temporary file, so that nobody reads half of it.
void WriteWhole(const std::string& path, const std::string& text);

// One line of JSON on stderr, like the logs of the other processes.
void Log(const char* level, const std::string& message, const std::string& role = "");

// Milliseconds, by a clock that neither stops nor jumps.
long long BootMs();

// 2026-11-25T12:00:00.000Z
std::string NowText();

}  // namespace dfs

#endif  // DFS_NATIVE_GUARDIAN_FILES_H_
