#include "train/ranker_recipe.h"

#include <algorithm>

namespace heed::train {
namespace {

const std::vector<std::string> kActivations = {"relu", "prelu", "dice"};

std::vector<uint32_t> ReadWidths(const TomlTable& table, std::vector<uint32_t> otherwise) {
  if (!table.Has("hidden")) return otherwise;
  std::vector<uint32_t> widths;
  for (const double width : table.Numbers("hidden")) {
    if (width < 1 || width > 65536) table.Fail("hidden", "'hidden' are widths within [1, 65536]");
    widths.push_back(static_cast<uint32_t>(std::clamp(width, 1.0, 65536.0)));
  }
  return widths;
}

nn::ActivationKind ReadActivation(const TomlTable& table, nn::ActivationKind otherwise) {
  return static_cast<nn::ActivationKind>(
      table.Choice("activation", kActivations, static_cast<size_t>(otherwise)));
}

model::PoolConfig ReadPool(const TomlTable& table, model::PoolConfig pool) {
  pool.kind = static_cast<model::PoolKind>(
      table.Choice("kind", {"dot", "din", "din_sum"}, static_cast<size_t>(pool.kind)));
  pool.temperature = table.Flag("temperature", pool.temperature);
  if (pool.temperature && pool.kind != model::PoolKind::kDot) {
    table.Fail("temperature", "'temperature' is of kind = \"dot\"");
  }
  pool.hidden = ReadWidths(table, pool.hidden);
  pool.activation = ReadActivation(table, pool.activation);
  pool.encoder = static_cast<model::EncoderKind>(
      table.Choice("encoder", {"none", "sasrec", "tisasrec"}, static_cast<size_t>(pool.encoder)));
  if (pool.encoder != model::EncoderKind::kNone) {
    pool.encoder_layers = table.Count("encoder_layers", pool.encoder_layers, 1, 16);
    pool.encoder_heads = table.Count("encoder_heads", pool.encoder_heads, 1, 64);
  }
  return pool;
}

model::BlockConfig ReadBlock(const TomlTable& table) {
  model::BlockConfig block;
  table.RequiredString("kind");
  block.kind =
      static_cast<model::BlockKind>(table.Choice("kind", {"mlp", "cross", "autoint", "afm"}, 0));
  block.gate = table.Flag("gate", block.gate);
  if (block.gate) block.gate_hidden = table.Count("gate_hidden", block.gate_hidden, 1, 4096);
  // Only what the kind uses is read, so that a misplaced key is reported as unknown.
  switch (block.kind) {
    case model::BlockKind::kMlp:
      block.hidden = ReadWidths(table, block.hidden);
      block.activation = ReadActivation(table, block.activation);
      block.batch_norm = table.Flag("batch_norm", block.batch_norm);
      block.dropout = static_cast<float>(table.Number("dropout", 0, 0, 0.95));
      break;
    case model::BlockKind::kCross:
      block.layers = table.Count("layers", block.layers, 1, 16);
      block.rank = table.Count("rank", block.rank, 0, 4096);
      break;
    case model::BlockKind::kAutoInt:
      block.layers = table.Count("layers", block.layers, 1, 16);
      block.heads = table.Count("heads", block.heads, 1, 64);
      block.width = table.Count("width", block.width, 1, 4096);
      if (block.width % block.heads != 0) {
        table.Fail("width", "'width' must be a multiple of 'heads'");
      }
      break;
    case model::BlockKind::kAfm: block.width = table.Count("width", block.width, 1, 4096); break;
  }
  return block;
}

model::HeadConfig ReadHead(const TomlTable& table) {
  model::HeadConfig head;
  head.kind = static_cast<model::HeadKind>(table.Choice("kind", {"shared", "mmoe", "ple"}, 0));
  if (head.kind == model::HeadKind::kShared) return head;
  head.experts = table.Count("experts", head.experts, 1, 64);
  head.width = table.Count("width", head.width, 1, 4096);
  if (head.kind == model::HeadKind::kMmoe) return head;
  head.own_experts = table.Count("own_experts", head.own_experts, 1, 64);
  head.levels = table.Count("levels", head.levels, 1, 8);
  return head;
}

}  // namespace

model::RankerConfig ReadRanker(const TomlTable& table) {
  model::RankerConfig config;
  config.embedding_width = table.Count("embedding_width", config.embedding_width, 1, 1024);
  config.projection = table.Count("projection", config.projection, 0, 4096);
  config.attention_heads = table.Count("attention_heads", config.attention_heads, 1, 64);
  config.attention_width = table.Count("attention_width", config.attention_width, 1, 4096);
  config.hidden = ReadWidths(table, config.hidden);
  const auto number = [&](const char* key, float otherwise, double low, double high) {
    return static_cast<float>(table.Number(key, otherwise, low, high));
  };
  config.mean_pool = table.Flag("mean_pool", config.mean_pool);
  config.null_slot = table.Flag("null_slot", config.null_slot);
  config.wide = table.Flag("wide", config.wide);
  config.dropout = number("dropout", config.dropout, 0, 0.95);
  config.admit_after = table.Count("admit_after", config.admit_after, 1);
  config.init_deviation = number("init_deviation", config.init_deviation, 0, 10);
  config.initial_decay = number("initial_decay", config.initial_decay, 0, 100);
  config.age_scale_s = number("age_scale_s", config.age_scale_s, 1e-3, 1e9);
  config.numeric_clip = number("numeric_clip", config.numeric_clip, 0.1, 1e6);
  config.pool = ReadPool(table.Table("pool"), config.pool);
  for (const TomlTable& own : table.Tables("pools")) {
    config.pools.push_back({own.RequiredString("sequence"), ReadPool(own, config.pool)});
  }
  for (const TomlTable& block : table.Tables("block")) config.blocks.push_back(ReadBlock(block));
  config.head = ReadHead(table.Table("head"));
  for (const TomlTable& link : table.Tables("link")) {
    config.links.push_back({link.RequiredString("task"), link.RequiredString("given")});
  }
  if (!config.blocks.empty()) {
    for (const char* key : {"hidden", "dropout"}) {
      if (table.Has(key)) {
        table.Fail(key,
                   std::string("'") + key + "' belongs into the [[ranker.block]] it is meant for");
      }
    }
  }
  return config;
}

}  // namespace heed::train
