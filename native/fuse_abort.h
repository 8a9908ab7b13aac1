// Ends a FUSE connection through the kernel's control filesystem, knowing only a descriptor of it.
// Pure: no Node-API in here, so that the guardian can use it.
#ifndef DFS_NATIVE_FUSE_ABORT_H_
#define DFS_NATIVE_FUSE_ABORT_H_

namespace dfs {

// Every request on the connection fails, and neither a program nor a notification waits for an
// answer any more. Does not block. One that has ended already is fine.
// @returns false when this kernel does not tell which connection it is, or this user may not end it
bool AbortFuse(int fd);

}  // namespace dfs

#endif  // DFS_NATIVE_FUSE_ABORT_H_
