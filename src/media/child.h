// A process started by this one: with the pipes it is given, nothing else of ours, and never left over.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/status.h"

namespace heed::media {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { Close(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void Close();
  int Release();

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read, write;
};
Result<Pipe> MakePipe();  // both ends close on exec

class Child {
 public:
  Child() = default;
  Child(Child&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  Child& operator=(Child&& other) noexcept;
  ~Child() { Kill(); }

  // Starts `program` with these as its standard input, output and error (-1: /dev/null) and of our
  // environment only where certificates lie. kIo naming the program when it cannot be started.
  static Result<Child> Start(const std::string& program, const std::vector<std::string>& arguments,
                             int input, int output, int error);

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  // Ends it at once and waits for that.
  void Kill();
  // Waits for its end for at most `ms`, then kills. Exit code, or 128 + the signal that ended it.
  int Wait(int ms);

 private:
  pid_t pid_ = -1;
};

}  // namespace heed::media
