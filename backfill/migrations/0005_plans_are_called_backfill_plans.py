"""Plans are called what the sidebar calls them: no change of the database."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('backfill', '0004_plan_states'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='plan',
            options={'ordering': ['-id'], 'verbose_name': 'plan', 'verbose_name_plural': 'backfill plans'},
        ),
    ]
