"""The note that an instance was run again becomes the note that something changed in a batch."""

import django.db.models.deletion
from django.db import migrations, models

# Notes come and go with every instance of a batch that ends.
_VACUUM = "autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay"


class Migration(migrations.Migration):
    dependencies = [("instances", "0003_settled_by_hand")]

    operations = [
        migrations.RenameModel("Reopening", "BatchNote"),
        migrations.AlterField(
            "batchnote",
            "batch",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="instances.batch",
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE instances_batchnote SET (autovacuum_vacuum_scale_factor = 0.01,"
            " autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)",
            f"ALTER TABLE instances_batchnote RESET ({_VACUUM})",
        ),
    ]
