"""What `ult --help` and `ult VERB --help` say."""

from __future__ import annotations

OVERVIEW = """\
ult: prune one random network once, then serve many tasks with a linear head each.

  ult search      find one mask over a random network for your source tasks -> a ticket file
  ult construct   prune a random network by theory, with a certificate: no data, no training -> a ticket file
  ult transfer    fit a linear head on a frozen ticket for new tasks -> rows
  ult compare     pruning against training on equal terms: arms x targets x seeds -> rows, table, figure
  ult report      rows of a store -> tables (CSV, Markdown), a figure (PNG), one HTML page
  ult rows        rows of a store as JSON lines, for other programs
  ult ticket      show FILE: what is in a ticket

Start here:
  ult compare experiment=quickstart
  ult search 'sources=[mnist5k]' net=conv2 trainer.max_epochs=4 out=my.ticket
  ult transfer ticket=my.ticket 'targets=[digits]'

`ult VERB --help` tells its keys. search, construct, transfer, compare and report take key=value overrides (Hydra),
-m with comma-separated values for a sweep, --cfg job to see what would run, --config-dir FOLDER for your own YAML.
"""

_SEARCH = """\
ult search: find one mask over a random, frozen network that serves all source tasks, and store it as a ticket.

  sources=[A,B]            tasks the search sees (needed): digits, mnist5k, mnist, cifar10, ..., mnist5k:parity,
                           mnist5k:0-4, folder:/path, parquet:/path, {name:mnist,train_limit:10000}
  net=NAME                 conv2, conv4 (default), conv6, conv8, conv, lenet_300_100, resnet18, or a torchvision CNN
  net.options.width=1.0    and other options of the net;  init=NAME  norm=batch|layer|none  bias=none|zeros|nonzero
  density=0.5              share of the parameters that is kept;  method.densities={NAME:0.2}  method.scope=layer|global
  mixing=alternate|joint   several sources: in turn, or all in one step;  select=last|best  augment=true
  method.optimizer.lr=0.1  and name, momentum, weight_decay, head_lr, schedule
  trainer.max_epochs=6     or max_steps=N instead;  trainer.batch_size  trainer.precision=32|bf16|auto
  seed=0  train_limit=N    the mother, the splits and the order of the batches; images per task
  out=FILE                 a copy of the ticket for you;  store=store  data_dir=data  download=true  force=true
  device=auto  logger=wandb|csv|none  name=... group=... tags=[...]  experiment=NAME  traceback=true

Examples:
  ult search 'sources=[mnist5k]' net=conv2 density=0.5 seed=0 trainer.max_epochs=4 out=my.ticket
  ult search 'sources=[mnist5k:0-4,digits]' net=resnet18 norm=layer
  ult search -m 'sources=[mnist5k]' density=0.1,0.3,0.5 seed=0,1,2 'out=d${density}-s${seed}.ticket'
"""

_CONSTRUCT = """\
ult construct: prune one random network, by subset sums, into a ticket that is proven to be near what it is made for.

  family=polynomial        all monomials of inputs=3 numbers in [0, 1] up to degree=3; or 'exponents=[[1,0],[2,1]]'
  family=fourier           cosines of inputs=2 numbers, frequencies with |n|_1 up to bound=2; fold=true trades width
                           for depth
  family=univariate        function=log|exp|sin|cos|square|sigmoid|tanh
  family=network           target=FILE of ult_lightning.construct.save_target(module, path): Linear, Conv2d, ReLU,
                           MaxPool2d, Flatten;  mode=2L|L+1  block=20  calibration=FILE.npy  feedback=true
                           low_noise=true  input_shape=[c,h,w]
  eps=1e-3                 the largest error allowed on the whole domain (network: the tolerance of one weight)
  pool=7                   polynomial, fourier: a ticket over images, averaged to 7 x 7 numbers
  init=NAME  style=two|direct  seed=0      the random network, drawn once and never again
  log= linear= exp= wave= fold= chain=     your own widths, as in log=[200,12,200] linear=200; without them, and
  pieces=  tolerance=      pieces of the piecewise-linear functions, the laws of the theory choose from eps
  out=FILE                 a copy of the ticket for you;  store=store  force=true  logger=wandb|csv|none
  device=auto  name=... group=... tags=[...]  traceback=true

  experiment=theory_...    a study of the theory instead: rows, a figure and a CSV in out=FOLDER;  options.KEY=VALUE,
                           options.fast=true for a quick look

Examples:
  ult construct family=polynomial inputs=3 degree=3 eps=1e-3 seed=0 out=poly.ticket
  ult construct -m family=fourier inputs=2 bound=2 fold=true,false eps=0.01,0.02
  ult construct experiment=theory_kept out=figures
"""

_TRANSFER = """\
ult transfer: fit a linear head on a frozen ticket for every target task, and store one row per result.

  ticket=FILE              a ticket file, or the id of one in the store (needed)
  targets=[A,B]            tasks to solve (needed): the same names as for `ult search`, or functions
  head=ridge               or logistic, sgd; lstsq for functions;  head.options.KEY=VALUE
  shots=[1,5,10]  draws=3  few images per class, drawn several times
  seed=N  train_limit=N    the splits (default: the ticket's seed); images per task;  precision=32|bf16|auto
  save=FOLDER or FILE      keep ticket and head for use: ult_lightning.TaskModel.load(FILE)(images) -> logits
  store=store  data_dir=data  download=true  force=true  device=auto  logger=wandb|csv|none  traceback=true

A target whose classes the search saw is allowed; its row says `seen`.

Functions are targets for tickets over numbers (their input is (1, 1, d)): polynomials, trigonometric, products,
outside (in no such family); polynomials:3 bounds the degree, {name:polynomials,count:20,norm:2} says more.
For example: ult transfer ticket=poly.ticket 'targets=[polynomials,products,outside]' head=lstsq
Rows: the worst sup and RMS error on points that the head did not see, with the certified bound beside it.

Examples:
  ult transfer ticket=my.ticket 'targets=[digits]' head=ridge
  ult transfer ticket=my.ticket 'targets=[mnist5k:5-9,digits]' 'shots=[1,5,10,50]' draws=5
  ult transfer -m ticket=my.ticket 'targets=[digits]' head=ridge,logistic,sgd seed=0,1,2
"""

_COMPARE = """\
ult compare: pruning against training on equal terms: arms x targets x seeds -> rows, a table, a figure.

  sources=[A,B]            tasks the tickets are searched on (needed)
  targets=[C,D]            tasks the table is about (needed)
  arms=[...]               dense, dense_long, dense_converged, finetuned, joint, specialist, universal, random_mask,
                           random_features, raw_pixels;  arm.dense_long.factor=3 and other options of arms
  seeds=[0,1,2]            one mother, one split, one search each; intervals are over them
  head=ridge               the head of all frozen arms;  dense.lrs=[0.03,0.1,0.3] and other keys of training
  out=FOLDER               for table.{csv,md,tex}, figure.png, report.html (default: the run's folder)
  net= init= norm= density= method.* trainer.* train_limit= mixing= ...      as for `ult search`
  store=store  data_dir=data  download=true  force=true  device=auto  logger=wandb|csv|none  traceback=true

A grid that was interrupted continues: give the same command again.

Examples:
  ult compare experiment=quickstart
  ult compare 'sources=[mnist5k:0-4]' 'targets=[mnist5k:5-9]' 'arms=[dense,random_features,universal]' 'seeds=[0,1]'
  ult compare experiment=mnist_cifar --cfg job
"""

_REPORT = """\
ult report: the rows of a store -> table.{csv,md,tex}, figure.png and one self-contained report.html.
(Rows of function targets are a table of their own: functions.csv.)

  store=store              the folder with the rows
  tasks=[A,B] arms=[...] seeds=[...]    only these rows
  baseline=dense           the arm that gaps are measured from;  floor=random_features  the arm of the lifts
  out=report               the folder to write to

Examples:
  ult report
  ult report store=store 'tasks=[digits]' out=digits_report
  ult report 'arms=[dense,universal,random_features]' 'seeds=[0,1,2]'
"""

_ROWS = """\
ult rows: the rows of a store as JSON lines (task arm seed metric value n ticket seconds ...), for other programs.

  store=store              the folder with the rows
  task= arm= seed= metric= ticket=      only rows with these values

Examples:
  ult rows
  ult rows store=store task=digits arm=universal
  ult rows | head -1
"""

_TICKET = """\
ult ticket show FILE: what is in a ticket: mother, density, certificate, sources, accuracies, what to do next.

  FILE                     a ticket file, or the id of a ticket in the store
  store=store              where to look for an id

Examples:
  ult ticket show my.ticket
  ult ticket show 0123456789abcdef
  ult ticket show 0123456789abcdef store=/shared/store
"""

VERBS: dict[str, str] = {
    "search": _SEARCH,
    "construct": _CONSTRUCT,
    "transfer": _TRANSFER,
    "compare": _COMPARE,
    "report": _REPORT,
    "rows": _ROWS,
    "ticket": _TICKET,
}


def of(verb: str) -> str:
    """The help text of one verb, with what all Hydra verbs share."""
    if verb in ("rows", "ticket"):
        return VERBS[verb]
    return (
        VERBS[verb] + "\nAlso: -m (sweep), --cfg job (print what would run), --config-dir FOLDER (your own YAML), "
        "--hydra-help.\n"
    )
