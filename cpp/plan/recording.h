// Records launches as data: function, argument bytes, (storage id, byte offset) per operand. A recording
// holds ids, not memory: what its launches write and what dies before it closes is an intermediate; the rest
// keeps its address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "ops/launch.h"

namespace lamina {

struct RecordedOperand {
  uint64_t storage;
  size_t byte_offset;
};

struct RecordedLaunch {
  const char* op;
  RunFn run;
  std::vector<std::max_align_t> args;  // the argument block, aligned
  std::vector<RecordedOperand> operands;
  size_t num_reads;
  size_t scratch_bytes;
  size_t bytes_touched;
};

// A closed recording with an address for every buffer; `replay` runs it with no allocation.
class Plan {
 public:
  // Runs every launch in order. A launch that reports bad data raises, naming its op, and ends the replay.
  void replay();
  size_t num_launches() const { return launches_.size(); }
  size_t intermediate_bytes() const { return arena_bytes_; }
  std::vector<std::string> ops() const;

 private:
  friend class Recording;
  std::vector<RecordedLaunch> launches_;
  std::vector<void*> addresses_;
  std::vector<StoragePtr> persistent_;  // storages that outlived the recording
  StoragePtr arena_;
  size_t arena_bytes_ = 0;
  void* scratch_ = nullptr;
};

class Recording {
 public:
  Recording();
  ~Recording();
  Recording(const Recording&) = delete;

  void append(const Launch& l);
  // Gives every storage that died an address in one arena and pins the rest. The recording is empty
  // afterwards.
  std::unique_ptr<Plan> close();

 private:
  friend void forget_storage(uint64_t id);
  struct Buffer {
    Storage* alive;  // null once dead
    size_t bytes;
    StoragePtr
        input;  // held where a launch read it before any wrote it: data made outside, a constant or a weight
  };
  std::vector<RecordedLaunch> launches_;
  std::unordered_map<uint64_t, Buffer> buffers_;
  std::mutex mutex_;
};

// The calling thread's open recording, or null. At most one per thread.
Recording* open_recording();
void set_open_recording(Recording* recording);

// Launches in this scope run but are not recorded: what they write is data to the recording.
class RecordingPaused {
 public:
  RecordingPaused() : open_(open_recording()) { set_open_recording(nullptr); }
  ~RecordingPaused() { set_open_recording(open_); }
  RecordingPaused(const RecordingPaused&) = delete;

 private:
  Recording* open_;
};

// The launch point's inner half, shared by eager calls and replays.
Status run_launch(RunFn run, const void* args, Buffers buffers, size_t bytes_touched);
void check_status(const char* op, const Status& status);

}  // namespace lamina
