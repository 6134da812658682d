"""joblib: scikit-learn's grid search, its fits spread over the workers."""

import warnings

import joblib
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import sheaf as ray
from sheaf.util.joblib import register_ray

GRID = {"svc__C": [0.01, 0.1, 1.0, 10.0], "svc__gamma": [0.01, 0.1, 1.0]}
FOLDS = 4


def main() -> None:
    # Ray's backend was written for older versions of joblib and scikit-learn, and they say so.
    warnings.simplefilter("ignore")
    ray.init(num_cpus=2)
    register_ray()
    flowers, kinds = load_iris(return_X_y=True)
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), GRID, cv=FOLDS, n_jobs=-1)
    with joblib.parallel_backend("ray"):
        search.fit(flowers, kinds)

    scores = search.cv_results_["mean_test_score"]
    print(f"{len(scores)} models, {FOLDS} fits of each")
    for setting, score in zip(search.cv_results_["params"], scores, strict=True):
        print(f"C {setting['svc__C']:5} gamma {setting['svc__gamma']:4}: {score:.3f}")
    print("best", search.best_params_)
    ray.shutdown()


if __name__ == "__main__":
    main()
