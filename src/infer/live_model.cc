#include "infer/live_model.h"

#include <algorithm>
#include <utility>

namespace heed::infer {
namespace {

void Append(const model::TableRows& rows, model::TableRows* to) {
  to->resize(std::max(to->size(), rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    (*to)[i].insert((*to)[i].end(), rows[i].begin(), rows[i].end());
  }
}

}  // namespace

LiveModel::LiveModel(ModelHandle* handle, const model::Ranker& trained,
                     kernels::Precision precision, const std::string& version)
    : handle_(handle) {
  for (Replica& replica : replicas_) {
    replica.ranker = trained.CopyToServe();
    replica.model = ServingModel::Make(version, replica.ranker, precision);
    // What it serves in: fp32 where int8 is not to be had.
    replica.ranker->StoreTables(replica.model->compiled->options().precision);
  }
  handle_->Publish(std::exchange(replicas_[serving_].model, nullptr));
}

void LiveModel::Publish(const model::Ranker& trained, const model::TableRows& changed, bool dense,
                        std::string version) {
  for (Replica& replica : replicas_) {
    Append(changed, &replica.behind);
    replica.dense_behind = replica.dense_behind || dense;
  }
  Replica& next = replicas_[1 - serving_];
  CatchUp(trained, &next);
  next.model->version = std::move(version);
  // It was given to the handle by this object, which alone writes to it.
  replicas_[serving_].model =
      std::const_pointer_cast<ServingModel>(handle_->Exchange(std::exchange(next.model, nullptr)));
  serving_ = 1 - serving_;
}

void LiveModel::CatchUp(const model::Ranker& trained, Replica* replica) const {
  ServingModel& model = *replica->model;
  replica->ranker->CopyRows(trained, replica->behind);
  if (replica->dense_behind) replica->ranker->CopyDense(trained);
  if (replica->dense_behind) {
    model.compiled->WeightsChanged();
  } else {
    model.compiled->RowsChanged(replica->ranker->KeysOf(replica->behind));
  }
  for (auto& rows : replica->behind) rows.clear();
  replica->dense_behind = false;
}

}  // namespace heed::infer
