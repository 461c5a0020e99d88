// What goes into a ranker and what comes out, by name. Training and serving read the same Schema,
// and a model file carries it, so features cannot skew.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace heed::model {

// A request's part is computed once per request, a candidate's part once per candidate.
enum class Side : uint8_t { kRequest, kCandidate };

struct FieldSpec {  // categorical: one key, one embedding row
  std::string name;
  std::string table;  // fields that mean the same thing share a table ("video")
  Side side = Side::kRequest;
  bool operator==(const FieldSpec&) const = default;
};

struct NumericSpec {  // dense: standardised with the mean and deviation seen in training
  std::string name;
  Side side = Side::kRequest;
  bool operator==(const NumericSpec&) const = default;
};

struct SequenceSpec {  // history, attended by the candidate
  std::string name;
  std::vector<std::string> tables;  // one per part of a token: {"video", "author", "feedback"}
  std::vector<std::string> query_fields;  // candidate fields whose embeddings make the query
  uint32_t max_length = 50;               // the newest are kept
  bool operator==(const SequenceSpec&) const = default;
};

enum class TaskKind : uint8_t { kBinary, kValue };

// One output: a probability, or what an outcome is worth when it comes.
struct TaskSpec {
  std::string name;
  float loss_weight = 1.0f;
  float value = 1.0f;  // in the served score: sum of value * output
  TaskKind kind = TaskKind::kBinary;
  // Of a value, in units of its labels: beyond it Huber's loss is linear. Also the unit in which the head
  // predicts, so that no label has a gradient above loss_weight, as none of a probability has.
  float huber_delta = 1.0f;
  // The task that a value is the value of: it is served as p(given) E[value | given]. "": as E[value].
  std::string given;
  bool operator==(const TaskSpec&) const = default;
};

struct Schema {
  std::vector<FieldSpec> fields;
  std::vector<NumericSpec> numerics;
  std::vector<SequenceSpec> sequences;
  std::vector<TaskSpec> tasks;
  bool operator==(const Schema&) const = default;

  // Names unique and non-empty, query fields exist and are the candidate's, at least one task.
  Status Validate() const;
  // Fields of one side, in declaration order: the columns of Batch.
  std::vector<size_t> FieldsOf(Side side) const;
  std::vector<size_t> NumericsOf(Side side) const;
};

}  // namespace heed::model
