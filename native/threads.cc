#include "threads.h"

#include <pthread.h>
#include <signal.h>

#include <memory>
#include <utility>

namespace dfs {
namespace {

// They only wait in a system call, so many of them should cost nothing.
constexpr size_t kStackBytes = 128 << 10;

struct Start {
  const char* name;
  std::function<void()> work;
};

void* Run(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  pthread_setname_np(pthread_self(), start->name);
  start->work();
  return nullptr;
}

}  // namespace

bool StartThread(const char* name, std::function<void()> work) {
  auto start = std::make_unique<Start>(name, std::move(work));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // The thread inherits the mask: what it calls is not interrupted, and handlers run elsewhere.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, Run, start.get()) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (started) start.release();
  return started;
}

}  // namespace dfs
