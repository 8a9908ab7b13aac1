// Threads for calls that the kernel may keep for as long as it likes.
#ifndef DFS_NATIVE_THREADS_H_
#define DFS_NATIVE_THREADS_H_

#include <functional>

namespace dfs {

// Runs `work` on a thread that nobody waits for and that takes no signals. `name` outlives it and
// has at most 15 bytes.
// @returns false when the system has no thread left
bool StartThread(const char* name, std::function<void()> work);

}  // namespace dfs

#endif  // DFS_NATIVE_THREADS_H_
