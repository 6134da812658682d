"""What `make bench-cluster` measures: the TPC-H queries, the first row of many files, and a node that is killed."""

from cases import QUERIES, Case
from cluster_inputs import ClusterInputs

# Two nodes with a CPU each.
NODES = 2
EVERYBODY = ("sheaf", "streaming", "local", "spark", "sail", "daft")
# Those whose nodes are processes that can be killed, and that say that they go on without one.
SURVIVING = ("sheaf", "spark")
FOLDER = "cluster_engines"


def cluster_cases(inputs: ClusterInputs, killed: int) -> list[Case]:
    """Every case, in the order of the table; what comes after a kill may be slower, so that is the last."""
    return [
        *(over_tpch(inputs, number, f"q{number:02}", f"Q{number}", query=number) for number in range(1, 23)),
        Case(
            name="first",
            title=f"first row of `SELECT * … LIMIT 10` over {inputs.files:,} files",
            work="first",
            engines=EVERYBODY,
            input=str(inputs.many),
            threads=NODES,
            folder=FOLDER,
        ),
        over_tpch(inputs, killed, "undisturbed", f"Q{killed}, undisturbed", engines=SURVIVING),
        over_tpch(inputs, killed, "killed", f"Q{killed}, a node killed halfway", engines=SURVIVING, work="killed"),
    ]


def over_tpch(
    inputs: ClusterInputs,
    number: int,
    name: str,
    title: str,
    *,
    query: int = 0,
    engines: tuple[str, ...] = EVERYBODY,
    work: str = "sql",
) -> Case:
    """A query of TPC-H. Those that count as queries have their number in the case too."""
    return Case(
        name=name,
        title=title,
        work=work,
        engines=engines,
        input=str(inputs.tpch),
        threads=NODES,
        query=query,
        sql=(QUERIES / f"q{number:02}.sql").read_text(),
        folder=FOLDER,
    )
